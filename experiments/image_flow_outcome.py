# SPDX-License-Identifier: Apache-2.0
"""What every flow over images of whole numbers shows and measures of its model."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.experiment import Experiment, Sheet
from experiments.images import Images, show
from jaxml.data import in_memory
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models import flow
from jaxml.models.flow import Dequantized, dequantized
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model

ROWS = 100  # test examples per call: the unit of progress and of interruption


def experiment(model: Dequantized, images: Images, options: Any) -> Experiment:
    """The experiment of a flow that begins from its first images, and whose average counts.

    Args:
      model: freshly initialized.
      images: the data.
      options: a `Config` with seed, steps, batch_size, learning_rate, weight_decay, decay and
        n_samples.
    """
    key = jax.random.key(options.seed)
    order_key, start_key = (jax.random.fold_in(key, i) for i in (1, 2))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, options.learning_rate, min(200, options.steps // 2), options.steps
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(50.0), optax.adamw(rate, weight_decay=options.weight_decay)
    )
    learn = descend(dequantized.loss, optimizer)
    return Experiment(
        model=_start(model, jnp.asarray(images.train[:256]), start_key),
        rule=guard(chain(learn=learn, average=average(options.decay))),
        batches=in_memory(images.train, options.batch_size, order_key),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, images.valid),
        validate=partial(validate, images.valid),
        n_test=len(images.test),
        evaluate=partial(evaluate, images, options.n_samples),
        sample=sample,
        diagnose=partial(diagnose, images.valid),
    )


_sample = jax.jit(dequantized.sample, static_argnums=2, static_argnames="temperature")
_log_weight = jax.jit(dequantized.log_weight)
_start = jax.jit(dequantized.start)
_log_likelihood = jax.jit(dequantized.log_likelihood, static_argnames="n_samples")


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Draws from P."""
    drawn = show(_sample(model, key, n), model.levels)
    return Sheet(drawn, int(np.ceil(np.sqrt(n))), "samples: images drawn from the flow")


def draw(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, samples at a lower temperature, and beside them held-out images."""
    key, cool_key = jax.random.split(key)
    cool = show(_sample(model, cool_key, 100, temperature=0.7), model.levels)
    caption = "z multiplied with 0.7: plainer images, no longer draws from the flow"
    return {
        "samples": sample(model, key, 100),
        "temperature-0.7": Sheet(cool, 10, caption),
        "data": Sheet(show(held_out[:100], model.levels), 10, "held-out images"),
    }


def per_dim(nats: np.ndarray, shape: tuple[int, ...]) -> float:
    """Bits a dimension of a mean log-probability in nats."""
    return float(-np.mean(nats) / (np.prod(shape) * np.log(2)))


def validate(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, float]:
    """Bits a dimension of the validation split at one draw of noise."""
    parts = [
        np.asarray(_log_weight(model, jnp.asarray(part), jax.random.fold_in(key, i)))
        for i, part in enumerate(np.split(held_out, range(500, len(held_out), 500)))
    ]
    return {"bits_per_dim": per_dim(np.concatenate(parts), held_out.shape[1:])}


def evaluate(
    images: Images, n_samples: int, model: Model, key: Key, progress: Callable[[int], None]
) -> list[Evidence]:
    """The test split's bound at one draw of noise and at several, in bits a dimension and nats."""
    ones, many = [], []
    for start in range(0, len(images.test), ROWS):
        part = images.test[start : start + ROWS]
        full = jnp.asarray(np.concatenate([part, np.repeat(part[-1:], ROWS - len(part), axis=0)]))
        one_key, many_key = jax.random.split(jax.random.fold_in(key, start // ROWS))
        one = _log_weight(model, full, one_key)
        several = _log_likelihood(model, full, many_key, n_samples=n_samples)
        ones.append(np.asarray(one)[: len(part)])
        many.append(np.asarray(several)[: len(part)])
        progress(start + len(part))
    about = {"kind": Kind.LOWER_BOUND, "family": "flow", "dim": int(np.prod(images.test.shape[1:]))}
    noise = "uniform" if model.noise is None else "variational"
    found = []
    for values, n, name in ((ones, 1, "one draw"), (many, n_samples, "importance-weighted")):
        protocol = images.protocol | {"estimator": f"{noise} dequantization, {name}"}
        nats = from_values(np.concatenate(values), samples=n, protocol=protocol, **about)
        found += [convert(nats, Unit.BITS_PER_DIM), nats]
    return found


def diagnose(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, str]:
    """Whether the flow inverts in single precision, and whether z looks like the base."""
    del key
    x = jnp.asarray((held_out[:500] + 0.5) / model.levels, jnp.float32)
    z, back = _there_and_back(model, x)
    lost = int((np.floor(np.asarray(back) * model.levels) != held_out[:500]).sum())
    scale = np.asarray(z).std(0)
    return {
        "inverse": f"{lost} of {held_out[:500].size} pixels come back changed in single precision",
        "noise": f"standard deviations of z from {scale.min():.2f} to {scale.max():.2f}, "
        f"mean {scale.mean():.3f}",
    }


@jax.jit
def _there_and_back(model: Model, x: Array) -> tuple[Array, Array]:
    z = flow.encode(model.flow, x)
    return z, flow.generate(model.flow, z)
