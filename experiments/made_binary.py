# SPDX-License-Identifier: Apache-2.0
r"""MADE or NADE on binary tables, scored in nats a row.

Command: python -m experiments train made_binary
         python -m experiments train made_binary --data dna --steps 3000
         python -m experiments train made_binary --data nips --steps 1000 --learning-rate 1e-3 \
             --weight-decay 1.0
Hardware: 2 CPU cores, a few minutes each.
Expected: see FACTS below and experiments/README.md.

The splits are those of the literature. The network learns under sets of masks in turn, orders and
connections, and the mean of their probabilities is scored, exactly. Of the average of the weights
the best by the validation rows is kept, since the tables are small: hundreds of rows to a few
thousand. Germain et al. 2015 (table 4, arXiv:1502.03509) report -9.68 nats on mushrooms, -83.63 on
dna and -280.25 on nips.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import in_memory, load, sha256
from jaxml.metrics import Evidence, Kind, from_values
from jaxml.models.autoregressive import rows
from jaxml.nn import MADE, NADE
from jaxml.training import average, chain, descend, guard, keep_best
from jaxml.types import Array, Key, Model, Scalar

FACTS = Facts("autoregressive", "mushrooms, 112 bits", "-10.85 nats", 1)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "validate_every": 10,
    "batch_size": 8,
    "width": 8,
    "n_masks": 2,
    "n_test": 50,
}
ROWS = 100  # rows per call: the unit of progress and of interruption


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of made_binary."""

    seed: Natural = 0
    """Names the initialization, the masks, the order of the data and all draws."""
    data: Literal["mushrooms", "dna", "nips", "nltcs", "plants"] = "mushrooms"
    """The table."""
    network: Literal["made", "nade"] = "made"
    """NADE has one order, one hidden layer, and no sets of masks."""
    steps: Count = 6000
    """Gradient steps."""
    batch_size: Count = 100
    """Rows a step."""
    width: Count = 500
    """Hidden units of a layer."""
    n_layers: Count = 1
    """Hidden layers of a MADE."""
    direct: bool = True
    """Whether outputs of a MADE also see the inputs through a linear map."""
    n_masks: Natural = 32
    """Sets of masks of a MADE; 0 for one fixed order."""
    learning_rate: Positive = 4e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    weight_decay: NonNegative = 0.1
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.99
    """Of the average of the weights that is looked at."""
    validate_every: Count = 100
    """Steps between looks at the validation rows, of which the best is kept."""
    n_test: Count = 20_000
    """Test rows that are evaluated, at most."""
    save_every: Count = 1000
    """Steps between checkpoints."""
    look_every: Count = 1000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `binary_density.npz` in the data directory."""
    train, valid, test = (part["x"] for part in load(config.data, data_dir))
    test, n = test[: config.n_test], train.shape[1]
    law, rngs = rows.bernoulli(), nnx.Rngs(config.seed)
    if config.network == "made":
        widths = (config.width,) * config.n_layers
        network = MADE(n, widths, law.n_raw, direct=config.direct, rngs=rngs)
        model = rows.RowModel(network, law, n_masks=config.n_masks, seed=config.seed)
    else:
        model = rows.RowModel(NADE(n, config.width, law.n_raw, rngs=rngs), law)
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(10.0), optax.adamw(rate, weight_decay=config.weight_decay)
    )
    learn = chain(learn=descend(rows.loss, optimizer), average=average(config.decay))
    held_out = jnp.asarray(valid[:1000])

    def score(model: Model) -> Scalar:
        return -rows.log_prob(model, held_out).mean()

    protocol = {"data": config.data, "split": f"test, {len(test)} rows", "sha256": sha256(test)}
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
        batches=in_memory(
            train, config.batch_size, jax.random.fold_in(jax.random.key(config.seed), 1)
        ),
        learned=lambda model, state: state["rule"]["best"],
        draw=partial(draw, train),
        validate=partial(validate, valid),
        n_test=len(test),
        evaluate=partial(evaluate, protocol, config.network.upper(), test),
        sample=sample,
        diagnose=partial(diagnose, train, valid),
    )


_log_prob = jax.jit(rows.log_prob)
_sample = jax.jit(rows.sample, static_argnums=2)


def log_probs(
    model: Model, x: np.ndarray, progress: Callable[[int], None] = lambda n: None
) -> np.ndarray:
    """log p of every row, in nats."""
    parts = []
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        full = np.concatenate([part, np.repeat(part[-1:], ROWS - len(part), axis=0)])
        parts.append(np.asarray(_log_prob(model, jnp.asarray(full)))[: len(part)])
        progress(start + len(part))
    return np.concatenate(parts)


def _picture(x: Array | np.ndarray, caption: str) -> Sheet:
    """Rows of bits as one image, a square of pixels a bit."""
    return Sheet(np.asarray(x, np.float32).repeat(4, axis=0).repeat(4, axis=1)[None], 1, caption)


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Rows drawn from the model."""
    return _picture(_sample(model, key, n), "each row a draw from the model")


def draw(train: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Rows of the table, and rows drawn from the model."""
    return {
        "samples": sample(model, key, 64),
        "data": _picture(train[:64], "rows of the table"),
    }


def validate(valid: np.ndarray, model: Model, key: Key) -> Mapping[str, float]:
    """The mean log p over all validation rows, in nats."""
    del key
    return {"log_prob": float(log_probs(model, valid).mean())}


def evaluate(
    protocol: Mapping[str, str],
    family: str,
    test: np.ndarray,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The mean log p over the test rows, in nats."""
    del key
    values = log_probs(model, test, progress)
    about = {"kind": Kind.EXACT, "dim": test.shape[1], "protocol": protocol}
    return [from_values(values, family=family, **about)]


def diagnose(train: np.ndarray, valid: np.ndarray, model: Model, key: Key) -> Mapping[str, str]:
    """How much is learned by heart, and what columns by themselves would cost."""
    del key
    p = (train.sum(0) + 1) / (len(train) + 2)
    alone = (valid * np.log(p) + (1 - valid) * np.log1p(-p)).sum(1).mean()
    trained, held = (log_probs(model, x).mean() for x in (train[:1000], valid))
    return {
        "generalization": f"{trained:.2f} nats on training rows, {held:.2f} on validation rows",
        "independent columns": f"{alone:.2f} nats on validation rows",
    }
