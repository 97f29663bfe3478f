# SPDX-License-Identifier: Apache-2.0
"""Masked diffusion on the characters of tiny shakespeare, scored in bits a character.

Command: python -m experiments train masked_diffusion_text
Hardware: 2 CPU cores, about half an hour.
Expected: see FACTS below and experiments/README.md.

Characters vanish in a random order and a transformer that sees both sides tells them back. The
bound is the mean over orders of the probability of a window of characters, none of which sees
another window: autoregressive models are to be compared on the same windows.
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

from experiments import text_sheet
from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import in_memory, load, sha256
from jaxml.data.text import windows
from jaxml.diffusion import stage
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models import masked_diffusion
from jaxml.nn import Transformer
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Metrics, Model, Scalar

FACTS = Facts("diffusion", "tiny shakespeare, 65 characters", "at most 1.97 nats a character", 45)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 4,
    "length": 16,
    "width": 16,
    "n_layers": 1,
    "n_heads": 2,
    "n_test": 8,
    "n_times": 2,
}
ROWS = 32  # windows per call: the unit of progress and of interruption


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of masked_diffusion_text."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 5000
    """Gradient steps."""
    batch_size: Count = 32
    """Windows a step."""
    length: Count = 128
    """Characters of a window."""
    width: Count = 128
    """Features of the residual stream."""
    n_layers: Count = 4
    """Blocks."""
    n_heads: Count = 4
    """Of each attention."""
    learning_rate: Positive = 2e-3
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    weight_decay: NonNegative = 0.1
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    n_times: Count = 32
    """Times a window, for the bound."""
    n_test: Count = 871
    """Windows that are evaluated, from the first of the last tenth of the text."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between samples and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `tinyshakespeare.npz` in the data directory."""
    train, valid, _ = (part["x"] for part in load("tinyshakespeare", data_dir))
    symbols = np.unique(train)
    number = np.zeros(256, np.uint8)
    number[symbols] = np.arange(len(symbols))
    key = jax.random.key(config.seed)
    rows = np.ascontiguousarray(windows(number[train], config.length, stride=8))
    test = windows(number[valid], config.length)[: config.n_test].astype(np.int32)
    model = masked_diffusion.MaskedDiffusion(
        Transformer(
            len(symbols) + 1,
            config.width,
            config.n_layers,
            config.n_heads,
            len(symbols),
            length=config.length,
            rotary=True,
            rngs=nnx.Rngs(config.seed),
        ),
        len(symbols),
        config.length,
        schedule=stage.polynomial(),
    )
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, min(200, config.steps // 2), config.steps
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(rate, b2=0.98, weight_decay=config.weight_decay),
    )
    protocol = {
        "data": "tiny shakespeare",
        "split": f"last tenth, {len(test)} windows of {config.length} characters",
        "sha256": sha256(test),
    }
    return Experiment(
        model=model,
        rule=guard(chain(learn=descend(loss, optimizer), average=average(config.decay))),
        batches=in_memory(rows, config.batch_size, jax.random.fold_in(key, 1)),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, symbols),
        validate=partial(validate, test[:64]),
        n_test=len(test),
        evaluate=partial(evaluate, protocol, test, config.n_times),
        sample=partial(sample, symbols),
        diagnose=partial(diagnose, symbols),
    )


def loss(model: Model, batch: Array, key: Key) -> tuple[Scalar, Metrics]:
    """The bound in nats a character, of windows in bytes."""
    return masked_diffusion.loss(model, batch.astype(jnp.int32), key)


@partial(jax.jit, static_argnums=2)
def _sample(model: Model, key: Key, n: int) -> Array:
    return masked_diffusion.sample(model, key, n, n_steps=model.length, times=_slowly)


def _slowly(n_steps: int) -> Array:
    """Times at which equally many characters appear at every step."""
    return jnp.sqrt(stage.falling(n_steps))


_elbo = jax.jit(masked_diffusion.elbo, static_argnames="n_times")


def _texts(symbols: np.ndarray, model: Model, key: Key, n: int) -> list[str]:
    return [text_sheet.text_of(symbols[row]) for row in np.asarray(_sample(model, key, n))]


def sample(symbols: np.ndarray, model: Model, key: Key, n: int) -> Sheet:
    """Windows of text drawn from the model."""
    caption = "windows drawn from the model, as many steps as characters"
    return text_sheet.sheet(_texts(symbols, model, key, n), caption)


def draw(symbols: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """A few windows."""
    return {"samples": sample(symbols, model, key, 6)}


def validate(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, float]:
    """The bound on a few held-out windows, in nats a character."""
    bound = _elbo(model, jnp.asarray(held_out), key, n_times=8)
    return {"nats_per_character": float(-bound.mean() / model.length)}


def evaluate(
    protocol: dict[str, str],
    test: np.ndarray,
    n_times: int,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The bound in nats a character, in bits a character, and in nats a window."""
    parts = []
    for start in range(0, len(test), ROWS):
        part = test[start : start + ROWS]
        full = np.concatenate([part, np.repeat(part[-1:], ROWS - len(part), axis=0)])
        own_key = jax.random.fold_in(key, start // ROWS)
        bound = _elbo(model, jnp.asarray(full), own_key, n_times=n_times)
        parts.append(np.asarray(bound)[: len(part)])
        progress(start + len(part))
    values = np.concatenate(parts)
    about = {
        "samples": n_times,
        "dim": test.shape[1],
        "family": "masked diffusion",
        "protocol": protocol | {"estimator": "continuous bound"},
    }
    nats = from_values(values, kind=Kind.LOWER_BOUND, **about)
    each = from_values(
        -values / test.shape[1],
        kind=Kind.UPPER_BOUND,
        higher_is_better=False,
        quantity="nats a character",
        **about,
    )
    return [each, convert(nats, Unit.BITS_PER_DIM), nats]


def diagnose(symbols: np.ndarray, model: Model, key: Key) -> Mapping[str, str]:
    """What the model writes, and what a guess without any knowledge costs."""
    text = _texts(symbols, model, key, 1)[0]
    return {
        "text": " / ".join(text.split("\n")),
        "no knowledge": f"{math.log(len(symbols)):.3f} nats a character",
    }
