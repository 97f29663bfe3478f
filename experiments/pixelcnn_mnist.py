# SPDX-License-Identifier: Apache-2.0
"""PixelCNN on binarized MNIST: exact log p(x), and digits that are completed.

Command: python -m experiments train pixelcnn_mnist
Hardware: 2 CPU cores, about 90 minutes.
Expected: see FACTS below and experiments/README.md.

The protocol of the data is that of `experiments.binarized_mnist`. Published for a PixelCNN: 81.30
nats (van den Oord et al. 2016, table 4, arXiv:1601.06759), training images binarized once.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.binarized_mnist import binarized_mnist
from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, Positive
from jaxml.losses.likelihood import bernoulli
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models.autoregressive import pixel
from jaxml.nn import PixelCNN
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("autoregressive", "MNIST, binarized", "to be measured", 90)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 8,
    "width": 8,
    "n_blocks": 2,
    "n_test": 100,
}
SHAPE = (28, 28, 1)
ROWS = 100


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of pixelcnn_mnist."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 15_000
    """Gradient steps; 1562 of them are one epoch at the default batch size."""
    batch_size: Count = 32
    """Examples a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    width: Count = 64
    """Channels of the residual stream; blocks have half as many inside."""
    n_blocks: Count = 10
    """Residual blocks of 3 x 3 windows."""
    static: bool = False
    """Binarize the training data once instead of at every step."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_test: Count = 10_000
    """Test examples that are evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 1000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `mnist.npz` in the data directory."""
    mnist = binarized_mnist(
        data_dir,
        SHAPE,
        config.batch_size,
        jax.random.fold_in(jax.random.key(config.seed), 1),
        n_test=config.n_test,
        static=config.static,
    )
    network = PixelCNN(SHAPE, config.width, config.n_blocks, 1, rngs=nnx.Rngs(config.seed))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, min(200, config.steps // 2), config.steps
    )
    learn = descend(pixel.loss, optax.chain(optax.clip_by_global_norm(50.0), optax.adam(rate)))
    return Experiment(
        model=pixel.PixelModel(network, pixel.each(bernoulli())),
        rule=guard(chain(learn=learn, average=average(config.decay))),
        batches=mnist.batches,
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, mnist.valid),
        validate=partial(validate, mnist.valid),
        n_test=len(mnist.test),
        evaluate=partial(evaluate, mnist.test, mnist.protocol),
        sample=sample,
        diagnose=partial(diagnose, mnist.valid),
    )


_log_prob = jax.jit(pixel.log_prob)


@partial(jax.jit, static_argnums=2)
def _sample(model: Model, key: Key, n: int) -> Array:
    return pixel.sample(model, key, n)


@jax.jit
def _completed(model: Model, key: Key, known: Array, mask: Array) -> Array:
    return pixel.sample(model, key, len(known), known=known, mask=mask)


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Draws from p(x)."""
    drawn = np.asarray(_sample(model, key, n))[..., 0]
    return Sheet(drawn, math.ceil(math.sqrt(n)), "drawn pixel by pixel")


def draw(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, and held-out digits whose lower half is drawn again, nine times each."""
    mask = jnp.broadcast_to(jnp.arange(28)[:, None] < 14, (28, 28))
    known = np.repeat(held_out[:10], 10, axis=0)
    drawn = np.array(_completed(model, jax.random.fold_in(key, 1), jnp.asarray(known), mask))
    drawn[::10] = known[::10]
    return {
        "samples": sample(model, key, 100),
        "completions": Sheet(drawn[..., 0], 10, "a held-out digit, and its lower half drawn again"),
    }


def validate(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, float]:
    """−log p(x) of held-out images, in nats."""
    del key
    x = held_out[:1000]
    costs = [np.asarray(_log_prob(model, x[i : i + ROWS])) for i in range(0, len(x), ROWS)]
    return {"nats": -float(np.mean(np.concatenate(costs)))}


def evaluate(
    test: np.ndarray,
    protocol: Mapping[str, str],
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """log p(x), in nats and in bits a pixel: exact."""
    del key
    found = []
    for i in range(0, len(test), ROWS):
        found.append(np.asarray(_log_prob(model, jnp.asarray(test[i : i + ROWS]))))
        progress(min(i + ROWS, len(test)))
    nats = from_values(
        np.concatenate(found),
        unit=Unit.NATS,
        kind=Kind.EXACT,
        dim=784,
        family="PixelCNN",
        protocol={**protocol, "estimator": "product over pixels"},
    )
    return [nats, convert(nats, Unit.BITS_PER_DIM)]


def diagnose(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, str]:
    """How much ink draws have, beside held-out images."""
    drawn = float(np.mean(np.asarray(_sample(model, key, 100))))
    return {"ink": f"{drawn:.1%} of pixels in draws, {held_out.mean():.1%} in held-out images"}
