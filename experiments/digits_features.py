# SPDX-License-Identifier: Apache-2.0
"""How far drawn digits are from real ones, as a classifier sees them: a Fréchet distance.

The features are the 64 hidden units of a small network, trained anew in two seconds from the
training images and a fixed seed, whatever the model: every family is measured by the same ones.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxml.data import digits, sha256
from jaxml.losses.classification import cross_entropy
from jaxml.metrics import Evidence, Kind, Moments, Unit, frechet_distance, moments
from jaxml.nn import MLP
from jaxml.optimizers import adamw
from jaxml.types import Array

N_UNITS, N_STEPS = 64, 300


class Classifier(nnx.Module):
    """An MLP whose hidden units are looked at."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden = MLP(64, (), N_UNITS, rngs=rngs)
        self.last = MLP(N_UNITS, (), 10, rngs=rngs)

    def features(self, x: Array) -> Array:
        """Hidden units for images in [0, 1], `(n, 8, 8, 1)`."""
        return jax.nn.silu(self.hidden(2 * x.reshape(len(x), 64) - 1))


@cache
def classifier() -> Classifier:
    """The trained network; the same bits for every caller on one machine."""
    train, _, _ = digits()
    x, y = jnp.asarray(train["x"]), jnp.asarray(train["y"])
    optimizer = adamw(1e-2, weight_decay=1e-2)

    def loss(model: Classifier) -> Array:
        return jnp.mean(cross_entropy(model.last(model.features(x)), y))

    def step(carry, _):
        model, state = carry
        updates, state = optimizer.update(jax.grad(loss)(model), state, model)
        return (jax.tree.map(jnp.add, model, updates), state), None

    start: Any = Classifier(nnx.Rngs(0))
    run = jax.jit(lambda carry: jax.lax.scan(step, carry, length=N_STEPS)[0])
    return run((start, optimizer.init(start)))[0]


def of(images: np.ndarray) -> Moments:
    """Moments of the features of images in [0, 1]."""
    run = jax.jit(lambda model, x: model.features(x))
    return moments(np.asarray(run(classifier(), jnp.asarray(images, jnp.float32))))


def distance(images: np.ndarray, family: str, how: str) -> Evidence:
    """Of drawn images in [0, 1], `(n, 8, 8, 1)`, from the 297 test images.

    Args:
      images: draws.
      family: of the model.
      how: they were drawn.
    """
    _, _, test = digits()
    return Evidence(
        value=frechet_distance(of(images), of(test["x"])),
        unit=Unit.NUMBER,
        kind=Kind.ESTIMATE,
        n=len(images),
        quantity="Fréchet distance",
        higher_is_better=False,
        family=family,
        protocol={
            "data": "digits",
            "split": "test",
            "features": f"{N_UNITS} hidden units of a classifier",
            "sha256": sha256(test["x"]),
            "draws": how,
        },
    )


def memory() -> Evidence:
    """That of the training images: what a model that knows them by heart would have."""
    train, _, _ = digits()
    return distance(train["x"], "training images", "the training images themselves")


def classes(images: np.ndarray, family: str) -> list[Evidence]:
    """How many of the ten digits the classifier sees in draws, and the share of the rarest.

    Args:
      images: draws in [0, 1], `(n, 8, 8, 1)`.
      family: of the model.
    """
    run = jax.jit(lambda model, x: jnp.argmax(model.last(model.features(x)), axis=-1))
    seen = np.asarray(run(classifier(), jnp.asarray(images, jnp.float32)))
    counts = np.bincount(seen, minlength=10)
    measured = {
        "classes among draws": float((counts > 0).sum()),
        "share of the rarest class": float(counts.min() / len(images)),
    }
    return [
        Evidence(
            value=value,
            unit=Unit.NUMBER,
            kind=Kind.ESTIMATE,
            n=len(images),
            quantity=quantity,
            family=family,
            protocol={"data": "digits", "classifier": f"{N_UNITS} hidden units"},
        )
        for quantity, value in measured.items()
    ]
