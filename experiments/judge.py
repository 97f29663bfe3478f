# SPDX-License-Identifier: Apache-2.0
"""What a classifier says of drawn images: how far they are from real ones, and which they are.

The features are the hidden units of a small network, trained anew in seconds from the training
images and a fixed seed, whatever the model: every family is measured by the same ones.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxml.data import digits, load, sha256
from jaxml.losses.classification import cross_entropy
from jaxml.metrics import Evidence, Kind, Unit, frechet_distance, frechet_error, moments
from jaxml.nn import MLP, ImageEncoder
from jaxml.optimizers import adamw
from jaxml.types import Array

N_UNITS, N_CLASSES = 64, 10
ROWS = 1000  # images a call


class Classifier(nnx.Module):
    """A network whose last hidden units are looked at.

    Args:
      hidden: of images in [−1, 1], `N_UNITS` numbers each.
      rngs: keys for initialization.
    """

    def __init__(self, hidden: Callable[[Array], Array], rngs: nnx.Rngs):
        self.hidden = hidden
        self.last = MLP(N_UNITS, (), N_CLASSES, rngs=rngs)

    def features(self, x: Array) -> Array:
        """Hidden units for images in [0, 1]."""
        return jax.nn.silu(self.hidden(2 * x - 1))


class Flattened(nnx.Module):
    """One linear map of all pixels."""

    def __init__(self, n: int, rngs: nnx.Rngs):
        self.linear = MLP(n, (), N_UNITS, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Numbers of each image."""
        return self.linear(x.reshape(len(x), -1))


class Judge(NamedTuple):
    """A trained classifier, and the images it was trained with.

    Attributes:
      data: their name.
      classifier: the same bits for every caller on one machine.
      train: images in [0, 1] that it learned from, `(n, h, w, c)`.
      test: images that draws are compared with.
    """

    data: str
    classifier: Classifier
    train: np.ndarray
    test: np.ndarray


@cache
def of_digits() -> Judge:
    """For scikit-learn's digits: an MLP, trained on all of them at once."""
    train, _, test = digits()
    rngs = nnx.Rngs(0)
    model = Classifier(Flattened(64, rngs), rngs)
    trained = _train(model, train["x"], train["y"], adamw(1e-2, weight_decay=1e-2), n_steps=300)
    x, other = (part["x"].reshape(-1, 8, 8, 1) for part in (train, test))
    return Judge("digits", trained, x, other)


@cache
def of_images(name: str, data_dir: str | None) -> Judge:
    """For MNIST or Fashion-MNIST: two convolutions and two linear maps, 1000 batches of 128.

    Args:
      name: of the data set.
      data_dir: where it lies.

    Raises:
      DataError: if the file is missing, or not the pinned one.
    """
    train, _, test = load(name, data_dir)
    x, other = (part["x"].astype(np.float32) / 255 for part in (train, test))
    rngs = nnx.Rngs(0)
    model = Classifier(ImageEncoder((28, 28, 1), (16, 32), 128, N_UNITS, rngs=rngs), rngs)
    optimizer = adamw(optax.cosine_decay_schedule(4e-3, 1000), weight_decay=1e-2)
    trained = _train(model, x, train["y"], optimizer, n_steps=1000, n_rows=128)
    return Judge(name, trained, x, other)


def features(judge: Judge, images: np.ndarray) -> np.ndarray:
    """The hidden units for images in [0, 1], `(n, h, w, c)`."""
    return _by_part(lambda model, x: model.features(x), judge, images)


def classes(judge: Judge, images: np.ndarray) -> np.ndarray:
    """The class of every image in [0, 1], `(n, h, w, c)`."""
    return _by_part(lambda model, x: jnp.argmax(model.last(model.features(x)), -1), judge, images)


def distance(judge: Judge, images: np.ndarray, family: str, how: str) -> Evidence:
    """The Fréchet distance of drawn images from the test images.

    Args:
      judge: the ruler.
      images: draws in [0, 1], `(n, h, w, c)`.
      family: of the model.
      how: they were drawn.
    """
    both = [features(judge, x) for x in (images, judge.test)]
    n_groups = min(50, len(images) // 2)
    return Evidence(
        value=frechet_distance(*map(moments, both)),
        unit=Unit.NUMBER,
        kind=Kind.ESTIMATE,
        standard_error=frechet_error(*both, n_groups=n_groups) if n_groups > 1 else None,
        n=len(images),
        quantity="Fréchet distance",
        higher_is_better=False,
        family=family,
        protocol={
            "data": judge.data,
            "split": "test",
            "features": f"{N_UNITS} hidden units of a classifier",
            "sha256": sha256(judge.test),
            "draws": how,
        },
    )


def memory(judge: Judge) -> Evidence:
    """That of the training images: what a model that knows them by heart would have."""
    return distance(judge, judge.train, "training images", "the training images themselves")


def coverage(judge: Judge, images: np.ndarray, family: str) -> list[Evidence]:
    """How many of the ten classes the classifier sees in draws, and the share of the rarest.

    Args:
      judge: the classifier.
      images: draws in [0, 1], `(n, h, w, c)`.
      family: of the model.
    """
    counts = np.bincount(classes(judge, images), minlength=N_CLASSES)
    return [
        _share(judge, float((counts > 0).sum()), "classes among draws", images, family),
        _share(judge, counts.min() / len(images), "share of the rarest class", images, family),
    ]


def agreement(judge: Judge, images: np.ndarray, labels: np.ndarray, family: str) -> Evidence:
    """The share of draws whose class is the one that was asked for.

    Args:
      judge: the classifier.
      images: draws in [0, 1], `(n, h, w, c)`.
      labels: what each was to be.
      family: of the model.
    """
    agreed = float(np.mean(classes(judge, images) == labels))
    return _share(judge, agreed, "draws of the class asked for", images, family)


def _share(judge: Judge, value: float, what: str, images: np.ndarray, family: str) -> Evidence:
    """Evidence of a count or a share; the binomial standard error of the latter."""
    inside = 0 < value < 1
    return Evidence(
        value=float(value),
        unit=Unit.NUMBER,
        kind=Kind.ESTIMATE,
        standard_error=float(np.sqrt(value * (1 - value) / len(images))) if inside else None,
        n=len(images),
        quantity=what,
        family=family,
        protocol={"data": judge.data, "classifier": f"{N_UNITS} hidden units"},
    )


def _by_part(
    function: Callable[[Classifier, Array], Array], judge: Judge, images: np.ndarray
) -> np.ndarray:
    """A function of images, `ROWS` of them at a time."""
    run = jax.jit(function)
    starts = range(0, len(images), ROWS)
    parts = (jnp.asarray(images[i : i + ROWS], jnp.float32) for i in starts)
    return np.concatenate([np.asarray(run(judge.classifier, part)) for part in parts])


def _train(
    model: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    optimizer: Any,
    *,
    n_steps: int,
    n_rows: int | None = None,
) -> Classifier:
    """After some steps on rows that are drawn anew, or on all of them."""
    x, y = jnp.asarray(images, jnp.float32), jnp.asarray(labels)

    def loss(model: Classifier, key: Array) -> Array:
        if n_rows is None:
            return jnp.mean(cross_entropy(model.last(model.features(x)), y))
        rows = jax.random.randint(key, (n_rows,), 0, len(x))
        return jnp.mean(cross_entropy(model.last(model.features(x[rows])), y[rows]))

    def step(carry: tuple, key: Array) -> tuple:
        model, state = carry
        updates, state = optimizer.update(jax.grad(loss)(model, key), state, model)
        return (jax.tree.map(jnp.add, model, updates), state), None

    keys = jax.random.split(jax.random.key(0), n_steps)
    run = jax.jit(lambda carry: jax.lax.scan(step, carry, keys)[0])
    return run((model, optimizer.init(model)))[0]
