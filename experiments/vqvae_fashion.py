# SPDX-License-Identifier: Apache-2.0
"""A vector-quantized VAE on Fashion-MNIST: 7 x 7 codes an image.

Command: python -m experiments train vqvae_fashion
Hardware: 2 CPU cores, about 20 minutes.
Expected: see FACTS below and experiments/README.md.

A pixel's 256 intensities are a discretized logistic. Codes are taken as independent with the
frequencies they have at each position in the training set; with that prior the evidence is a lower
bound of log p(x), and samples are as good as independent codes can be.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import in_memory, load, mapped, sha256
from jaxml.losses.likelihood import discretized_logistic
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models import vqvae
from jaxml.nn.convolution import Conv
from jaxml.nn.pyramid import Down, Up
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("VQ-VAE", "Fashion-MNIST, 256 levels", "<= 3.55 bits/dim, independent codes", 20)
TINY = {
    "steps": 100,
    "save_every": 50,
    "look_every": 100,
    "channels": (4, 8),
    "n_codes": 16,
    "n_train": 500,
    "n_test": 200,
}
ROWS = 500


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of vqvae_fashion."""

    seed: Natural = 0
    """Names the initialization and the order of the data."""
    steps: Count = 8000
    """Gradient steps; 140 of them are one epoch at the default batch size."""
    batch_size: Count = 128
    """Examples a step."""
    learning_rate: Positive = 1e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    channels: tuple[Count, Count] = (32, 64)
    """Channels after each of the two strided convolutions."""
    n_codes: Count = 256
    """Size of the codebook."""
    dim: Count = 16
    """Features of a code."""
    commitment: NonNegative = 0.25
    """The weight of the commitment term."""
    codebook_decay: Decay = 0.99
    """Of the moving means that are the codes."""
    decay: Decay = 0.99
    """Of the average of the weights that is evaluated."""
    n_train: Count = 18_000
    """Training images, from the first."""
    n_test: Count = 10_000
    """Test images that are evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 1000
    """Steps between pictures and validations."""


def scale(batch: Array, key: Key) -> Array:
    """Bytes to the 256 levels of [-1, 1]."""
    del key
    return batch.astype(jnp.float32) / 127.5 - 1


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `fashion_mnist.npz` in the data directory."""
    train, valid, test = (part["x"] for part in load("fashion_mnist", data_dir))
    train, test = train[: config.n_train], test[: config.n_test]
    order_key, unused = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), 1))
    rngs, low = nnx.Rngs(config.seed), config.channels[-1]
    likelihood = discretized_logistic(n_levels=256)
    model = vqvae.VQVAE(
        nnx.Sequential(
            Down(1, config.channels, rngs=rngs), Conv(low, config.dim, (1, 1), rngs=rngs)
        ),
        nnx.Sequential(
            Conv(config.dim, low, (3, 3), padding=1, rngs=rngs),
            Up(tuple(reversed(config.channels)), likelihood.n_heads, rngs=rngs),
        ),
        likelihood,
        vqvae.MovingCodebook(config.n_codes, config.dim, decay=config.codebook_decay, rngs=rngs),
        grid=(7, 7),
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    loss = partial(vqvae.loss, beta=config.commitment)
    rule = guard(chain(learn=descend(loss, optax.adam(rate)), average=average(config.decay)))
    protocol = {
        "data": "Fashion-MNIST",
        "split": "test" if len(test) == 10_000 else f"test, first {len(test)}",
        "levels of intensity": 256,
        "estimator": "ELBO, independent codes",
        "sha256": sha256(test.reshape(len(test), -1)),
    }
    return Experiment(
        model=model,
        rule=rule,
        batches=mapped(in_memory(train, config.batch_size, order_key), scale, unused),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, train, valid),
        validate=partial(validate, train, valid),
        n_test=len(test),
        evaluate=partial(evaluate, protocol, train, test),
        sample=partial(sample, train),
        diagnose=partial(diagnose, valid),
    )


def scaled(images: np.ndarray) -> Array:
    """Host bytes on the device as the model sees them."""
    return jnp.asarray(images, jnp.float32) / 127.5 - 1


def show(x: Array) -> np.ndarray:
    """What the model gives as intensities in [0, 1], `(n, 28, 28)`."""
    return np.clip((np.asarray(x)[..., 0] + 1) / 2, 0, 1)


def prior(train: np.ndarray, model: Model) -> Array:
    """The log-frequencies of the codes at each position, over the first training images."""
    return _prior(model, scaled(train[:5000]))


_prior = jax.jit(vqvae.prior_logits)
_elbo = jax.jit(lambda model, x, logits: vqvae.elbo(model, x, logits=logits).value)
_reconstruct = jax.jit(vqvae.reconstruct)


def sample(train: np.ndarray, model: Model, key: Key, n: int) -> Sheet:
    """Locations of p(x|codes) at independent codes."""
    codes = jax.random.categorical(key, prior(train, model), shape=(n, *model.grid))
    caption = "samples: independent codes at each of the 7 x 7 positions"
    return Sheet(show(vqvae.decode(model, codes)), int(np.ceil(np.sqrt(n))), caption)


def draw(train: np.ndarray, valid: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, and held-out images through 49 codes and back."""
    x = scaled(valid[:30])
    pairs = np.stack([show(x), show(_reconstruct(model, x))])
    pairs = np.concatenate([pairs[:, i : i + 10].reshape(20, 28, 28) for i in (0, 10, 20)])
    return {
        "samples": sample(train, model, key, 100),
        "reconstructions": Sheet(pairs, 10, "held-out images, and below each its reconstruction"),
    }


def validate(train: np.ndarray, valid: np.ndarray, model: Model, key: Key) -> Mapping[str, float]:
    """The ELBO of the validation split, in nats."""
    del key
    return {"elbo": float(jnp.mean(_elbo(model, scaled(valid), prior(train, model))))}


def evaluate(
    protocol: Mapping[str, str | int],
    train: np.ndarray,
    test: np.ndarray,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The test split's ELBO, exact in its sum over nothing: the code of an image is a point."""
    del key
    logits, bounds = prior(train, model), []
    for start in range(0, len(test), ROWS):
        bounds.append(np.asarray(_elbo(model, scaled(test[start : start + ROWS]), logits)))
        progress(start + len(bounds[-1]))
    nats = from_values(
        np.concatenate(bounds), kind=Kind.LOWER_BOUND, family="VQ-VAE", dim=784, protocol=protocol
    )
    return [convert(nats, Unit.BITS_PER_DIM), nats]


def diagnose(valid: np.ndarray, model: Model, key: Key) -> Mapping[str, str]:
    """How much of the codebook is in use."""
    del key
    codes = np.asarray(vqvae.encode(model, scaled(valid))).ravel()
    count = np.bincount(codes, minlength=model.codebook.codes.shape[0])
    p = count[count > 0] / count.sum()
    used = f"{len(p)} of {len(count)} codes occur in the validation split"
    return {"codebook": used, "perplexity": f"{np.exp(-(p * np.log(p)).sum()):.1f} codes"}
