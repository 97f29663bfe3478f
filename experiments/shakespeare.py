# SPDX-License-Identifier: Apache-2.0
"""Language models of the characters of tiny shakespeare: their data, their scores and their texts.

The first 90 % of the text train, the rest is scored in two ways. With context: every character of
the last tenth is read behind at least so many others, in windows that overlap by them; the first
window begins inside of the training text. Alone: windows that see nothing before them, as
`masked_diffusion_text` has them.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import text_sheet
from experiments.experiment import Experiment, Sheet
from jaxml.data import in_memory, load, sha256
from jaxml.data.text import windows
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models.autoregressive import language
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model

ALONE = 128  # characters of a window that sees nothing before it
ROWS = 32  # windows per call: the unit of progress and of interruption
SHOWN = 256  # characters of a text in the report


class Text(NamedTuple):
    """The text in numbers of its symbols.

    Attributes:
      symbols: byte values by number.
      train: the first 90 %.
      valid: the rest.
    """

    symbols: np.ndarray
    train: np.ndarray
    valid: np.ndarray


class Scored(NamedTuple):
    """Windows, of which the last `n` characters count.

    Attributes:
      x: `(windows, characters)`.
      n: characters that count in each.
    """

    x: np.ndarray
    n: int


def read(data_dir: str | None) -> Text:
    """The text; symbols are those of the training part.

    Raises:
      DataError: the file is missing or damaged.
    """
    train, valid, _ = (part["x"] for part in load("tinyshakespeare", data_dir))
    symbols = np.unique(train)
    number = np.zeros(256, np.uint8)
    number[symbols] = np.arange(len(symbols))
    return Text(symbols, number[train], number[valid])


def with_context(text: Text, context: int, n: int) -> Scored:
    """Windows whose last n characters follow each other through the validation text.

    Each reads `context` characters more in front. What is left behind the last whole window is not
    scored.

    Raises:
      ValueError: if the text is too short.
    """
    joined = np.concatenate([text.train[len(text.train) - context :], text.valid])
    return Scored(windows(joined, context + n, stride=n).astype(np.int32), n)


def experiment(config: Any, text: Text, model: language.LanguageModel, family: str) -> Experiment:
    """The experiment of a model: windows in a shuffled order, AdamW, an average of the weights.

    Args:
      config: the options that the experiments share: seed, steps, batch_size, learning_rate,
        weight_decay, decay, context, n_scored, n_test.
      text: see `read`.
      model: freshly initialized.
      family: its name in the evidence.
    """
    key = jax.random.key(config.seed)
    rows = np.ascontiguousarray(windows(text.train, model.length, stride=8))
    scored = with_context(text, config.context, config.n_scored)
    scored = Scored(scored.x[: config.n_test], scored.n)
    alone = windows(text.valid, min(ALONE, model.length))[: config.n_test].astype(np.int32)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, min(100, config.steps // 2), config.steps
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(rate, b2=0.99, weight_decay=config.weight_decay),
    )
    return Experiment(
        model=model,
        rule=guard(chain(learn=descend(language.loss, optimizer), average=average(config.decay))),
        batches=in_memory(rows, config.batch_size, jax.random.fold_in(key, 1)),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, text.symbols),
        validate=partial(validate, scored),
        n_test=len(scored.x) + len(alone),
        evaluate=partial(evaluate, scored, alone, family),
        sample=partial(sample, text.symbols),
        diagnose=partial(diagnose, text),
    )


_by_token = jax.jit(language.log_prob_by_token)


@partial(jax.jit, static_argnums=2)
def _sample(model: Model, key: Key, n: int, temperature: float) -> Array:
    longest = model.network.length
    length = SHOWN if longest is None else min(SHOWN, longest)
    return language.sample(model, key, n, length=length, temperature=temperature)


def _texts(symbols: np.ndarray, model: Model, key: Key, n: int, heat: float) -> list[str]:
    drawn = np.asarray(_sample(model, key, n, jnp.float32(heat)))
    return [text_sheet.text_of(symbols[row]) for row in drawn]


def sample(symbols: np.ndarray, model: Model, key: Key, n: int) -> Sheet:
    """Texts drawn from the model."""
    return text_sheet.sheet(_texts(symbols, model, key, n, 1.0), "texts drawn from the model")


def draw(symbols: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """A few texts, and a few with logits over 0.7."""
    cold = _texts(symbols, model, jax.random.fold_in(key, 1), 6, 0.7)
    return {
        "samples": sample(symbols, model, key, 6),
        "cold": text_sheet.sheet(cold, "texts drawn at temperature 0.7"),
    }


def validate(scored: Scored, model: Model, key: Key) -> Mapping[str, float]:
    """Nats a character with context, on windows from all over the validation text."""
    del key
    rows = np.linspace(0, len(scored.x) - 1, min(ROWS, len(scored.x))).astype(int)
    each = _by_token(model, jnp.asarray(scored.x[rows]))[:, -scored.n :]
    return {"nats_per_character": float(-each.mean())}


def score(
    x: np.ndarray, n: int, model: Model, progress: Callable[[int], None], done: int
) -> np.ndarray:
    """log p of the last n characters of every window given those before them, in nats."""
    parts = []
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        full = np.concatenate([part, np.repeat(part[-1:], ROWS - len(part), axis=0)])
        each = np.asarray(_by_token(model, jnp.asarray(full)), np.float64)
        parts.append(each[: len(part), -n:].sum(1))
        progress(done + start + len(part))
    return np.concatenate(parts)


def evaluate(
    scored: Scored,
    alone: np.ndarray,
    family: str,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """Nats a character with context; bits a character and nats a window without."""
    del key
    data = {"data": "tiny shakespeare"}
    context = scored.x.shape[1] - scored.n
    each = from_values(
        -score(scored.x, scored.n, model, progress, 0) / scored.n,
        kind=Kind.EXACT,
        higher_is_better=False,
        quantity="nats a character",
        dim=scored.n,
        family=family,
        protocol=data
        | {
            "split": f"last tenth, {scored.x.shape[0] * scored.n} characters in a row",
            "sha256": sha256(scored.x),
            "estimator": f"exact, each behind {context} to {context + scored.n - 1} others",
        },
    )
    length = alone.shape[1]
    nats = from_values(
        score(alone, length, model, progress, len(scored.x)),
        kind=Kind.EXACT,
        dim=length,
        family=family,
        protocol=data
        | {
            "split": f"last tenth, {len(alone)} windows of {length} characters",
            "sha256": sha256(alone),
            "estimator": "exact, each window alone",
        },
    )
    return [each, convert(nats, Unit.BITS_PER_DIM), nats]


def pairs(text: Text) -> float:
    """Nats a character of the validation text by counts of pairs in the training text, plus one."""
    n = len(text.symbols)
    count = np.ones((n, n))
    np.add.at(count, (text.train[:-1], text.train[1:]), 1)
    log_p = np.log(count / count.sum(1, keepdims=True))
    return -float(log_p[text.valid[:-1], text.valid[1:]].mean())


def diagnose(text: Text, model: Model, key: Key) -> Mapping[str, str]:
    """What the model writes, and what less knowledge costs."""
    written = _texts(text.symbols, model, key, 1, 1.0)[0]
    return {
        "text": " / ".join(written.split("\n")),
        "no knowledge": f"{math.log(len(text.symbols)):.3f} nats a character",
        "one character before": f"{pairs(text):.3f} nats a character, by counts of pairs",
    }
