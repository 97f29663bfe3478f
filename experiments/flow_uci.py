# SPDX-License-Identifier: Apache-2.0
"""A flow on a small table: wines or the ionosphere, scored by tenfold cross-validation.

Command: python -m experiments train flow_uci
         python -m experiments train flow_uci --data white_wine
         python -m experiments train flow_uci --data ionosphere
Hardware: 2 CPU cores, about a minute each.
Expected: see FACTS below and experiments/README.md.

Columns are counted in their standard deviations over the table, which only fixes the unit of the
density. Each fold of a tenth of the rows is scored by a flow that saw eight tenths; one more tenth
tells when to stop. The ten flows learn side by side in one step. Full-covariance Gaussians, scored
alike and shown with the evidence, reach -13.2 nats on either wine; a published mixture of
autoregressive densities reaches -9.36, -10.23 and -2.50 (Uria, Murray and Larochelle 2013, Table 1,
arXiv:1306.0186), partly because the values are rounded: a density may grow without bound there.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.bijections import Limit
from jaxml.data import drawn, load, sha256
from jaxml.metrics import Evidence, Kind, from_values
from jaxml.models import flow
from jaxml.nn import elementwise
from jaxml.training import average, chain, descend, ensemble, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("flow", "red wine, 10 folds", "log p(x) >= -11.2 nats", 3)
TINY = {"steps": 20, "save_every": 10, "look_every": 20, "width": 8, "n_blocks": 1, "n_bins": 3}
FOLDS = 10


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of flow_uci."""

    seed: Natural = 0
    """Names the folds, the initialization and the order of the data."""
    data: Literal["red_wine", "white_wine", "ionosphere"] = "red_wine"
    """The table."""
    steps: Count = 600
    """Gradient steps."""
    batch_size: Count = 128
    """Examples of every fold a step."""
    learning_rate: Positive = 1e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    n_blocks: Count = 3
    """Autoregressive layers, a learned linear map before each."""
    n_bins: Natural = 8
    """Bins of a spline; 0 makes the layers affine."""
    width: Count = 64
    """Features of the two hidden layers of each network."""
    weight_decay: NonNegative = 0.5
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.99
    """Of the average of the weights that is evaluated."""
    save_every: Count = 200
    """Steps between checkpoints."""
    look_every: Count = 100
    """Steps between pictures and validations."""


class Folds(NamedTuple):
    """Rows by fold, each part as often as its index in the first axis.

    Attributes:
      train: `(10, n, d)`, every fold cut to the smallest.
      valid: ten tables.
      test: ten tables, which together are all rows.
    """

    train: np.ndarray
    valid: list[np.ndarray]
    test: list[np.ndarray]


def folds(x: np.ndarray, seed: int) -> Folds:
    """Tenths of the shuffled rows: the k-th is tested, the next validates, eight are learned."""
    rows = np.random.default_rng(seed).permutation(len(x))
    tenths = [x[part] for part in np.array_split(rows, FOLDS)]
    turned = [tenths[k:] + tenths[:k] for k in range(FOLDS)]
    trains = [np.concatenate(parts[2:]) for parts in turned]
    n = min(map(len, trains))
    return Folds(np.stack([t[:n] for t in trains]), [p[1] for p in turned], [p[0] for p in turned])


def table(name: str, data_dir: str | None) -> np.ndarray:
    """All rows, every column with mean 0 and variance 1.

    Raises:
      DataError: if the file is missing, or not the pinned one.
    """
    x = np.concatenate([part["x"] for part in load(name, data_dir)])
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `uci_rnade.npz` in the data directory."""
    x = table(config.data, data_dir)
    parts, dim = folds(x, config.seed), x.shape[1]
    kind = elementwise.affine()
    if config.n_bins:
        kind = elementwise.spline(config.n_bins, Limit(-5.0, 5.0))

    def make(key: Key) -> Model:
        return flow.autoregressive(
            dim,
            config.n_blocks,
            kind,
            widths=(config.width, config.width),
            mix=True,
            rngs=nnx.Rngs(key),
        )

    key = jax.random.key(config.seed)
    model_key, data_key = (jax.random.fold_in(key, i) for i in range(2))
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adamw(rate, weight_decay=config.weight_decay)
    )
    one = chain(learn=descend(flow.loss, optimizer), average=average(config.decay))
    train = jnp.asarray(parts.train)

    def rows(key: Key) -> Array:
        i = jax.random.randint(key, (FOLDS, config.batch_size), 0, train.shape[1])
        return jnp.take_along_axis(train, i[..., None], axis=1)

    facts = {"rows": sha256(parts.train), "batch_size": config.batch_size}
    protocol = {"data": config.data, "split": f"10 folds, seed {config.seed}", "sha256": sha256(x)}
    return Experiment(
        model=jax.vmap(make)(jax.random.split(model_key, FOLDS)),
        rule=guard(ensemble(one, FOLDS, batches=True)),
        batches=drawn(rows, data_key, **facts),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, x),
        validate=partial(validate, parts),
        n_test=len(x),
        evaluate=partial(evaluate, protocol, parts),
        sample=None,
        diagnose=partial(diagnose, parts),
    )


_log_prob = jax.jit(jax.vmap(flow.log_prob))
_sample = jax.jit(jax.vmap(partial(flow.sample, n=200)))


def log_probs(models: Model, tables: list[np.ndarray]) -> np.ndarray:
    """log p of every row under the flow of its fold, in nats, one vector for all folds."""
    n = max(map(len, tables))
    full = np.stack([np.concatenate([t, np.repeat(t[:1], n - len(t), axis=0)]) for t in tables])
    found = np.asarray(_log_prob(models, jnp.asarray(full)))
    return np.concatenate([row[: len(t)] for row, t in zip(found, tables, strict=True)])


def gaussian(parts: Folds) -> np.ndarray:
    """log p of every test row under the full-covariance Gaussian of its fold's training rows."""
    found = []
    for train, test in zip(parts.train.astype(np.float64), parts.test, strict=True):
        factor = np.linalg.cholesky(np.cov(train.T))
        z = np.linalg.solve(factor, (test - train.mean(0)).T)
        constant = np.log(np.diag(factor)).sum() + len(factor) / 2 * np.log(2 * np.pi)
        found.append(-0.5 * np.square(z).sum(0) - constant)
    return np.concatenate(found)


def draw(x: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Histograms of the first nine columns, rows of the table above draws from all flows."""
    drawn_rows = np.asarray(_sample(model, jax.random.split(key, FOLDS))).reshape(-1, x.shape[1])
    sheets = []
    for column in range(min(9, x.shape[1])):
        edges = np.linspace(-3, 3, 49)
        shown = [np.histogram(rows[:, column], edges, density=True)[0] for rows in (x, drawn_rows)]
        top = max(s.max() for s in shown)
        bars = [np.arange(24)[::-1, None] < 24 * s[None] / top for s in shown]
        bars = np.concatenate([bars[0], np.ones((1, 48)), 0.7 * bars[1]])
        sheets.append(np.kron(bars, np.ones((4, 4))))
    caption = "columns of the table, and below each of 2000 draws from the flows, from -3 to 3"
    return {"columns": Sheet(np.stack(sheets), 3, caption)}


def validate(parts: Folds, model: Model, key: Key) -> Mapping[str, float]:
    """The mean log p over the validation rows of all folds, in nats."""
    del key
    return {"log_prob": float(log_probs(model, parts.valid).mean())}


def evaluate(
    protocol: Mapping[str, str],
    parts: Folds,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The mean log p over all rows, each tested once, and that of the Gaussians."""
    del key
    found = []
    about = {"kind": Kind.EXACT, "dim": parts.train.shape[-1], "protocol": protocol}
    for family, values in (("flow", log_probs(model, parts.test)), ("Gaussian", gaussian(parts))):
        found.append(from_values(values, family=family, **about))
    progress(sum(map(len, parts.test)))
    return found


def diagnose(parts: Folds, model: Model, key: Key) -> Mapping[str, str]:
    """How much is learned by heart: log p of training and of validation rows."""
    del key
    trained = log_probs(model, list(parts.train)).mean()
    held = log_probs(model, parts.valid).mean()
    return {"generalization": f"{trained:.2f} nats on training rows, {held:.2f} on validation rows"}
