# SPDX-License-Identifier: Apache-2.0
"""A convolutional classifier on scikit-learn's 8 x 8 digits.

Command: python -m experiments train digits_classifier
Hardware: 2 CPU cores, half a minute.
Expected: see FACTS below and experiments/README.md.

Everything in it is one of jaxml's own parts: convolution, batch normalization with running
statistics, pooling, dropout, cross entropy (the labels may be smoothed), AdamW on a cosine.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import augment, digits, in_memory, mapped, sha256
from jaxml.layers.dropout import dropout
from jaxml.layers.pooling import max_pool
from jaxml.losses.classification import cross_entropy, smooth_labels, soft_cross_entropy
from jaxml.metrics import Evidence, Kind, Unit, from_values
from jaxml.metrics.classification import calibration_error, confusion_matrix, reliability
from jaxml.nn import BatchNorm, Conv
from jaxml.optimizers import adamw, schedule
from jaxml.training import average, chain, descend, guard
from jaxml.types import Batch, Key, Metrics, Scalar

FACTS = Facts("classifier", "digits", ">= 98.0 % accuracy", 0.5)
TINY = {"steps": 60, "save_every": 30, "look_every": 60, "channels": (4, 8, 8)}
N_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of digits_classifier."""

    seed: Natural = 0
    """Names the initialization, the order of the data, the shifts and the dropout."""
    steps: Count = 400
    """Gradient steps; 13 of them are one epoch at the default batch size."""
    batch_size: Count = 100
    """Examples a step."""
    learning_rate: Positive = 3e-3
    """AdamW's largest rate, after a warm-up of at most 50 steps; it falls along a cosine to 0."""
    channels: tuple[Count, Count, Count] = (32, 64, 64)
    """Channels after each of the three convolutions."""
    dropout: Decay = 0.3
    """Of the features before the last layer."""
    smoothing: Decay = 0.0
    """How much of a label is spread over all classes."""
    weight_decay: NonNegative = 1e-2
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.98
    """Of the average of the weights that is evaluated."""
    save_every: Count = 200
    """Steps between checkpoints."""
    look_every: Count = 200
    """Steps between pictures and validations."""


class Net(nnx.Module):
    """[Conv 3 x 3, BatchNorm, SiLU] three times, halved after the second and third; affine."""

    def __init__(self, channels: tuple[int, int, int], rate: float, *, rngs: nnx.Rngs):
        pairs = list(zip((1, *channels[:-1]), channels, strict=True))
        self.convolutions = nnx.List(Conv(a, b, (3, 3), padding=1, rngs=rngs) for a, b in pairs)
        self.norms = nnx.List(BatchNorm(b) for _, b in pairs)
        self.last = nnx.Linear(4 * channels[-1], N_CLASSES, rngs=rngs)
        self.rate = rate

    def __call__(
        self, x: Float[Array, "n 8 8 1"], key: Key | None = None
    ) -> Float[Array, "n n_classes"]:
        """The logits; with a key those of training: the batch's moments and dropout."""
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = jax.nn.silu(norm(convolution(x), training=key is not None))
            x = max_pool(x, 2) if i else x
        h = x.reshape(len(x), -1)
        return self.last(h if key is None else dropout(h, key, self.rate))


def loss(model: Net, batch: Batch, key: Key, *, smoothing: float) -> tuple[Scalar, Metrics]:
    """The mean cross entropy with smoothed labels; the accuracy on the batch beside it."""
    logits = model(batch["x"], key)
    labels = smooth_labels(jax.nn.one_hot(batch["y"], N_CLASSES), smoothing, n_classes=N_CLASSES)
    right = jnp.argmax(logits, axis=-1) == batch["y"]
    return jnp.mean(soft_cross_entropy(logits, labels)), {"accuracy": jnp.mean(right)}


def moved(batch: Batch, key: Key) -> Batch:
    """Every image by up to one pixel along both axes."""
    return batch | {"x": augment.shift(batch["x"], key, pixels=1)}


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    train, valid, test = digits()
    order_key, shift_key = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), 1))
    model = Net(config.channels, config.dropout, rngs=nnx.Rngs(config.seed))
    warm = min(50, config.steps // 10)
    falling = schedule.cosine(config.learning_rate, config.steps - warm)
    optimizer = adamw(
        schedule.warm_up(warm, falling),
        weight_decay=config.weight_decay,
        where=lambda path: path.endswith("kernel"),
    )
    learn = descend(partial(loss, smoothing=config.smoothing), optimizer)
    protocol = {"data": "digits", "split": "test", "sha256": sha256(test["x"])}
    return Experiment(
        model=model,
        rule=guard(chain(learn=learn, average=average(config.decay))),
        batches=mapped(in_memory(train, config.batch_size, order_key), moved, shift_key),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, valid),
        validate=partial(validate, valid),
        n_test=len(test["y"]),
        evaluate=partial(evaluate, protocol, test),
        sample=None,
        diagnose=partial(diagnose, valid),
    )


_logits = jax.jit(lambda model, x: model(x))


def draw(held_out: Batch, model: Net, key: Key) -> Mapping[str, Sheet]:
    """The held-out images that the net finds hardest, and what it takes each class for."""
    del key
    logits = _logits(model, jnp.asarray(held_out["x"]))
    cost = np.asarray(cross_entropy(logits, jnp.asarray(held_out["y"])))
    hardest = np.argsort(-cost)[:40]
    predictions = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    counts = np.asarray(confusion_matrix(jnp.asarray(held_out["y"]), predictions, N_CLASSES))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return {
        "hardest": Sheet(held_out["x"][hardest, ..., 0], 10, "held-out images, the hardest first"),
        "confusion": Sheet(shares[None], 1, "rows: the class; columns: what it is taken for"),
    }


def validate(held_out: Batch, model: Net, key: Key) -> Mapping[str, float]:
    """Cross entropy in nats and accuracy on the validation split."""
    del key
    logits, labels = _logits(model, jnp.asarray(held_out["x"])), jnp.asarray(held_out["y"])
    right = np.asarray(jnp.argmax(logits, axis=-1) == labels)
    return {"loss": float(jnp.mean(cross_entropy(logits, labels))), "accuracy": float(right.mean())}


def evaluate(
    protocol: Mapping[str, str],
    test: Batch,
    model: Net,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """Accuracy, cross entropy and calibration error of the test split."""
    del key
    logits, labels = _logits(model, jnp.asarray(test["x"])), jnp.asarray(test["y"])
    right = jnp.argmax(logits, axis=-1) == labels
    progress(len(labels))
    about = {"kind": Kind.EXACT, "family": "classifier", "protocol": protocol}
    bins = reliability(right, jnp.max(jax.nn.softmax(logits), axis=-1))
    return [
        from_values(right, unit=Unit.NUMBER, quantity="accuracy", **about),
        from_values(
            cross_entropy(logits, labels),
            quantity="cross entropy",
            higher_is_better=False,
            **about,
        ),
        Evidence(
            value=float(calibration_error(bins)),
            unit=Unit.NUMBER,
            quantity="calibration error, 15 bins",
            n=len(labels),
            higher_is_better=False,
            **about,
        ),
    ]


def diagnose(held_out: Batch, model: Net, key: Key) -> Mapping[str, str]:
    """Which digits are taken for which."""
    del key
    predictions = np.argmax(_logits(model, jnp.asarray(held_out["x"])), axis=-1)
    pairs = [(int(y), int(p)) for y, p in zip(held_out["y"], predictions, strict=True) if y != p]
    told = ", ".join(f"{y} taken for {p}" for y, p in pairs)
    return {"validation split": told or f"all {len(predictions)} images are recognized"}
