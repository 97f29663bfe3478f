# SPDX-License-Identifier: Apache-2.0
"""An LSTM on Bach's chorales, a frame of 88 notes a quarter, scored in nats a frame.

Command: python -m experiments train lstm_chorales
Hardware: 2 CPU cores, about 2 minutes.
Expected: see FACTS below and experiments/README.md.

The split is that of Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392), who report 6.27 nats a
frame for the RNN-RBM and 5.56 for the RNN-NADE: here too the notes of a frame see each other, by a
MADE that is told the state of the LSTM. A frame's cost is a mean over all frames of the test
pieces, silence included, and its standard error one over pieces. Of the average of the weights the
best by the validation pieces is kept.
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
from jaxml.layers import LSTM
from jaxml.metrics import Evidence, Kind, Unit
from jaxml.models.autoregressive import frames, rows
from jaxml.nn import MADE, Recurrent
from jaxml.training import average, chain, descend, guard, keep_best
from jaxml.types import Array, Batch, Key, Model, Scalar

FACTS = Facts("autoregressive", "JSB chorales, quarters", "5.63 nats a frame", 2)
TINY = {
    "steps": 10,
    "save_every": 5,
    "look_every": 10,
    "validate_every": 5,
    "batch_size": 4,
    "width": 8,
    "hidden": 8,
    "n_test": 4,
}
NOTES = 88
FIRST = 21  # the MIDI number of the lowest note
SHOWN = 64  # frames of a piece in a picture


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of lstm_chorales."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all draws."""
    steps: Count = 3000
    """Gradient steps."""
    batch_size: Count = 16
    """Pieces a step."""
    width: Count = 200
    """Features of the LSTM's state."""
    hidden: Count = 200
    """Hidden units of the MADE."""
    dropout: Decay = 0.3
    """Share of the state that the MADE does not see in training."""
    transpose: Natural = 5
    """Pieces are moved up or down by up to so many semitones in training."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    weight_decay: NonNegative = 0.01
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.99
    """Of the average of the weights that is looked at."""
    validate_every: Count = 100
    """Steps between looks at the validation pieces, of which the best is kept."""
    n_test: Count = 77
    """Test pieces that are evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `jsb_chorales_quarter.npz` in the data directory."""
    train, valid, test = (masked(part) for part in load("jsb_chorales", data_dir))
    test = {name: a[: config.n_test] for name, a in test.items()}
    rngs, law = nnx.Rngs(config.seed), rows.bernoulli()
    row = MADE(NOTES, (config.hidden,), law.n_raw, n_context=config.width, rngs=rngs)
    model = frames.FrameModel(
        Recurrent(LSTM, NOTES, (config.width,), rngs=rngs),
        rows.RowModel(row, law),
        dropout=config.dropout,
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=config.weight_decay)
    )
    learn = chain(learn=descend(frames.loss, optimizer), average=average(config.decay))
    held_out = jax.tree.map(jnp.asarray, valid)

    def score(model: Model) -> Scalar:
        found = frames.log_prob(model, held_out["x"], mask=held_out["mask"])
        return -found.sum() / held_out["mask"].sum()

    key = jax.random.key(config.seed)
    order_key, move_key = (jax.random.fold_in(key, i) for i in (1, 2))
    batches = in_memory(train, config.batch_size, order_key)
    protocol: dict[str, str | int] = {
        "data": "JSB chorales, quarters",
        "split": f"test, {len(test['x'])} pieces",
        "sha256": sha256(test["x"]),
    }
    return Experiment(
        model=model,
        rule=guard(
            keep_best(
                learn,
                score,
                config.validate_every,
                watched=lambda model, state: state["average"]["model"],
            )
        ),
        batches=mapped(batches, partial(transposed, config.transpose), move_key),
        learned=lambda model, state: state["rule"]["best"],
        draw=partial(draw, valid),
        validate=partial(validate, valid),
        n_test=len(test["x"]),
        evaluate=partial(evaluate, protocol, test),
        sample=sample,
        diagnose=partial(diagnose, train, valid),
    )


def masked(part: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pieces with a mask in place of their lengths."""
    x, length = part["x"], part["length"]
    return {"x": x, "mask": np.arange(x.shape[1]) < length[:, None]}


def transposed(most: int, batch: Batch, key: Key) -> Batch:
    """Every piece moved by a number of semitones from −most to most; no voice comes to an end."""
    by = jax.random.randint(key, (len(batch["x"]),), -most, most + 1)
    moved = jax.vmap(lambda x, k: jnp.roll(x, k, axis=-1))(batch["x"], by)
    return {**batch, "x": moved.astype(jnp.float32)}


_log_prob = jax.jit(frames.log_prob)


@partial(jax.jit, static_argnames=("n", "length"))
def _sample(model: Model, key: Key, n: int, length: int, prompt: Array | None = None) -> Array:
    return frames.sample(model, key, n, length=length, prompt=prompt)


def _rolls(x: Array | np.ndarray, caption: str) -> Sheet:
    """Pieces as piano rolls: time to the right, high notes above."""
    used = np.asarray(x, np.float32)[:, :, 36 - FIRST : 85 - FIRST]
    return Sheet(used.swapaxes(1, 2)[:, ::-1].repeat(2, 1).repeat(3, 2), 2, caption)


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Pieces drawn from the model."""
    return _rolls(_sample(model, key, n, SHOWN), "pieces drawn from the model")


def draw(held_out: Mapping[str, np.ndarray], model: Model, key: Key) -> Mapping[str, Sheet]:
    """Pieces, held-out ones, and those that go on from their first 16 quarters."""
    real = held_out["x"][:6, :SHOWN]
    begun = jnp.asarray(real[:, :16], jnp.float32)
    further = _sample(model, jax.random.fold_in(key, 1), 6, SHOWN, begun)
    return {
        "samples": sample(model, key, 6),
        "continued": _rolls(further, "held-out pieces up to the 16th quarter, and the model's end"),
        "data": _rolls(real, "held-out pieces"),
    }


def validate(held_out: Mapping[str, np.ndarray], model: Model, key: Key) -> Mapping[str, float]:
    """−log p of the validation pieces, in nats a frame."""
    del key
    found = np.asarray(_log_prob(model, held_out["x"], mask=held_out["mask"]))
    return {"nats_per_frame": float(-found.sum() / held_out["mask"].sum())}


def evaluate(
    protocol: Mapping[str, str | int],
    test: Mapping[str, np.ndarray],
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """−log p over the frames of all test pieces; the error of a ratio of sums over pieces."""
    del key
    costs = -np.asarray(_log_prob(model, test["x"], mask=test["mask"]), np.float64)
    length, n = test["mask"].sum(1), len(costs)
    ratio = costs.sum() / length.sum()
    error = np.sqrt(np.square(costs - ratio * length).sum() * n / (n - 1)) / length.sum()
    progress(n)
    return [
        Evidence(
            value=float(ratio),
            unit=Unit.NATS,
            kind=Kind.EXACT,
            n=n,
            standard_error=float(error),
            quantity="nats a frame",
            higher_is_better=False,
            dim=NOTES,
            family="LSTM",
            protocol={**protocol, "estimator": f"exact, over {length.sum()} frames"},
        )
    ]


def diagnose(
    train: Mapping[str, np.ndarray],
    held_out: Mapping[str, np.ndarray],
    model: Model,
    key: Key,
) -> Mapping[str, str]:
    """What independent notes would cost, and how many sound at a time."""
    sounding = train["x"][train["mask"]]
    p = (sounding.sum(0) + 1) / (len(sounding) + 2)
    other = held_out["x"][held_out["mask"]]
    alone = -(other * np.log(p) + (1 - other.astype(float)) * np.log1p(-p)).sum(1).mean()
    drawn = np.asarray(_sample(model, key, 16, SHOWN)).sum(-1).mean()
    return {
        "independent notes": f"{alone:.2f} nats a frame on validation pieces",
        "voices": f"{drawn:.2f} notes sound at a time in draws, {other.sum(1).mean():.2f} in data",
    }
