# SPDX-License-Identifier: Apache-2.0
"""An Ising model learned from its own exact draws, four ways, and judged by exact sums.

Command: python -m experiments train ising_grid [--method pseudolikelihood]
Hardware: 2 CPU cores, about a minute.
Expected: see FACTS below and experiments/README.md.

Twelve by twelve spins near the critical coupling, every coupling and field somewhat different. All
that is to be known is a sum over rows: log Z, the entropy of the data, the divergence of the model.
Maximum likelihood from n draws costs p/2n nats on average, p the number of parameters, whoever does
it; what the other methods cost more is their own.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import in_memory, sha256
from jaxml.metrics import Evidence, Kind, Unit, from_values
from jaxml.models import energy, ising
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model, Rule

FACTS = Facts("energy", "Ising model, 12 x 12 spins", "KL(data || model) 0.0204 nats", 1)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "rows": 4,
    "columns": 4,
    "n_train": 200,
    "n_test": 100,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of ising_grid."""

    seed: Natural = 0
    """Names the truth and all draws."""
    method: Literal["likelihood", "pseudolikelihood", "bethe", "chains"] = "likelihood"
    """Exact sums, every spin given its neighbours, belief propagation, or chains that live on."""
    steps: Count = 500
    """Gradient steps, each over all of the data."""
    learning_rate: Positive = 0.02
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    rows: Count = 12
    """Of the rectangle."""
    columns: Count = 12
    """Of the rectangle; time grows as 2 to their power, and 20 are the most."""
    coupling: NonNegative = 0.4
    """Mean of J; a large rectangle is magnetic above 0.4407."""
    disorder: NonNegative = 0.1
    """Standard deviation of J, and of h around 0."""
    n_train: Count = 10_000
    """Draws to learn from."""
    n_test: Count = 10_000
    """Draws over which log p is the mean."""
    n_messages: Count = 50
    """Steps of the messages, for the method `bethe`."""
    n_walk: Count = 5
    """Gibbs sweeps of a chain for one gradient step, for the method `chains`."""
    decay: Decay = 0.98
    """Of the average of the weights that is evaluated."""
    save_every: Count = 100
    """Steps between checkpoints."""
    look_every: Count = 100
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir
    key = jax.random.key(config.seed)
    truth_key, train_key, test_key, order_key = (jax.random.fold_in(key, i) for i in range(4))
    truth = random_model(config, truth_key)
    x = _sample(truth, train_key, config.n_train)
    test = _sample(truth, test_key, config.n_test)
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    learn = _rule(config, optax.adam(rate))
    return Experiment(
        model=ising.IsingGrid(config.rows, config.columns),
        rule=guard(chain(learn=learn, average=average(config.decay))),
        batches=in_memory(x, config.n_train, order_key),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, x),
        validate=partial(validate, truth),
        n_test=config.n_test,
        evaluate=partial(evaluate, truth, test, _protocol(config, truth)),
        sample=sample,
        diagnose=partial(diagnose, truth, config.n_train),
    )


def random_model(config: Config, key: Key) -> ising.IsingGrid:
    """The truth: every J and h normal."""
    model = ising.IsingGrid(config.rows, config.columns)
    means = config.coupling, config.coupling, 0.0
    params = model.right, model.down, model.field
    for param, mean, part in zip(params, means, jax.random.split(key, 3), strict=True):
        param[...] = mean + config.disorder * jax.random.normal(part, param.shape)
    return model


def _rule(config: Config, optimizer: optax.GradientTransformation) -> Rule:
    match config.method:
        case "likelihood":
            return descend(ising.loss, optimizer)
        case "pseudolikelihood":
            return descend(ising.pseudolikelihood_loss, optimizer)
        case "bethe":
            return descend(partial(ising.bethe_loss, n_steps=config.n_messages), optimizer)
        case "chains":
            contrast = partial(energy.contrastive_loss, alpha=0.0, energy=ising.energy)
            return energy.rule(
                descend(contrast, optimizer),
                partial(ising.walk, n_steps=config.n_walk),
                ising.fresh(config.rows, config.columns),
                size=config.n_train,
                reinit=0.0,
            )


def _protocol(config: Config, truth: Model) -> dict[str, str]:
    size = f"{config.rows} x {config.columns} spins"
    return {
        "data": f"exact draws of an Ising model of {size}",
        "sha256": sha256(tuple(map(np.asarray, truth.grid))),
        "estimator": "sum over all states, row by row",
    }


_sample = jax.jit(ising.sample, static_argnums=2)
_log_prob = jax.jit(ising.log_prob)
_kl = jax.jit(ising.kl_divergence)
_entropy = jax.jit(ising.entropy)


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Independent draws of the model."""
    return _sheet(_sample(model, key, n), "independent draws of the model, white is up")


def draw(x: Array, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Draws beside data, and what has been learned."""
    learned = [np.asarray(a) for a in model.grid]
    top = max(np.abs(a).max(initial=0) for a in learned)
    shape = learned[2].shape
    filled = [np.pad(a, [(0, s - n) for s, n in zip(shape, a.shape, strict=True)]) for a in learned]
    caption = "couplings to the right, couplings down, fields; grey is 0"
    return {
        "samples": sample(model, key, 64),
        "data": _sheet(x[:64], "the first of the data"),
        "couplings": Sheet(0.5 + 0.5 * np.stack(filled) / (top or 1), 3, caption),
    }


def _sheet(x: Array, caption: str) -> Sheet:
    return Sheet(0.5 + 0.5 * np.asarray(x), max(1, round(len(x) ** 0.5)), caption)


def validate(truth: Model, model: Model, key: Key) -> Mapping[str, float]:
    """KL(data ‖ model) in nats, exactly."""
    del key
    return {"kl": float(_kl(truth, model))}


def evaluate(
    truth: Model,
    test: Array,
    protocol: Mapping[str, str],
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """log p of test draws, and the divergence of the model from the truth: a sum, not a sample."""
    del key
    dim = test[0].size
    values = np.asarray(_log_prob(model, test), np.float64)
    progress(len(test))
    divergence = Evidence(
        value=float(_kl(truth, model)),
        unit=Unit.NATS,
        kind=Kind.EXACT,
        standard_error=0.0,
        n=1,
        dim=dim,
        quantity="KL(data || model)",
        higher_is_better=False,
        family="Ising",
        protocol=protocol,
    )
    about = {**protocol, "split": "draws of their own"}
    return [
        divergence,
        from_values(values, kind=Kind.EXACT, dim=dim, family="Ising", protocol=about),
    ]


def diagnose(truth: Model, n_train: int, model: Model, key: Key) -> Mapping[str, str]:
    """The truth, what a fit of all parameters must cost, and errors of couplings and fields."""
    del key
    pairs = list(zip(model.grid, truth.grid, strict=True))
    n = sum(a.size for a, _ in pairs)
    errors = [float(jnp.sqrt(jnp.mean(jnp.square(a - b)))) for a, b in pairs]
    return {
        "truth": f"E log p = {-float(_entropy(truth)):.4f} nats, the entropy of the data",
        "finite sample": f"maximum likelihood of {n} parameters costs {n / (2 * n_train):.4f} nats "
        "on average",
        "errors": "root mean squares {:.4f} to the right, {:.4f} down, {:.4f} of fields".format(
            *errors
        ),
    }
