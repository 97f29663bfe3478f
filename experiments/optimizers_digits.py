# SPDX-License-Identifier: Apache-2.0
"""Every update rule on one small net and one stream of digits, each at seven learning rates.

Command: python -m experiments train optimizers_digits
Hardware: 2 CPU cores, about a minute.
Expected: see FACTS below and experiments/README.md.

All nets begin with the same weights and see the same batches, in one compiled step:
`side_by_side` holds a net for each rule, `sweep` repeats them at every rate. Rates are constant, so
a curve shows a rule and not a schedule. A rule is judged at the rate that the validation split
prefers.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.experiment import Experiment, Facts
from experiments.options import Count, Natural
from jaxml import optimizers
from jaxml.data import digits, in_memory, sha256
from jaxml.losses.classification import cross_entropy
from jaxml.metrics import Evidence, Kind, Unit, from_values
from jaxml.nn import MLP
from jaxml.optimizers import Optimizer
from jaxml.training import descend, figure, guard, side_by_side, skip, sweep
from jaxml.types import Array, Batch, Key, Metrics, Model, Rule, Scalar, State

FACTS = Facts("classifier", "digits", "94 to 99 % accuracy, each rule at its best rate", 1)
TINY = {"steps": 20, "save_every": 10, "look_every": 20, "width": 8}

FACTORS = tuple(10.0 ** (k / 2) for k in range(-3, 4))
"""The learning rates of a rule, in units of its customary one."""


def muon(rate: Array) -> Optimizer:
    """Muon for the matrices, Adam at a tenth of its rate for the biases."""
    parts: dict[Any, Any] = {"matrix": optimizers.muon(rate), "vector": optimizers.adam(0.1 * rate)}
    kinds = partial(jax.tree.map, lambda leaf: "matrix" if leaf.ndim == 2 else "vector")
    return Optimizer(*optax.partition(parts, kinds))


RULES: Mapping[str, tuple[float, Callable[[Array], Optimizer]]] = {
    "sgd": (1e-1, optimizers.sgd),
    "momentum": (3e-2, optimizers.momentum),
    "nesterov": (3e-2, optimizers.nesterov),
    "adagrad": (1e-2, optimizers.adagrad),
    "rmsprop": (1e-3, optimizers.rmsprop),
    "rmsprop_centered": (1e-3, partial(optimizers.rmsprop, centered=True)),
    "adam": (1e-3, optimizers.adam),
    "adamw": (1e-3, optimizers.adamw),
    "amsgrad": (1e-3, optimizers.amsgrad),
    "nadam": (1e-3, optimizers.nadam),
    "radam": (1e-3, optimizers.radam),
    "lion": (1e-4, optimizers.lion),
    "lamb": (1e-2, optimizers.lamb),
    "adafactor": (1e-2, partial(optimizers.adafactor, least_size=8)),
    "muon": (2e-2, muon),
    "schedule_free": (1.0, lambda rate: optimizers.schedule_free(optimizers.sgd(rate), rate)),
}
"""By name the customary rate and the rule at a rate."""

GROUPS = {
    "loss at the best rate: one rate for all": ("sgd", "momentum", "nesterov", "schedule_free"),
    "loss at the best rate: a rate each": tuple(RULES)[3:9],
    "loss at the best rate: Adam's relatives": ("adam", *tuple(RULES)[9:15]),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of optimizers_digits."""

    seed: Natural = 0
    """Names the initialization and the order of the data."""
    steps: Count = 500
    """Gradient steps."""
    batch_size: Count = 100
    """Examples a step."""
    width: Count = 64
    """Features of the two hidden layers."""
    save_every: Count = 250
    """Steps between checkpoints."""
    look_every: Count = 50
    """Steps between validations."""


def loss(net: MLP, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """The mean cross entropy."""
    del key
    return jnp.mean(cross_entropy(net(batch["x"]), batch["y"])), {}


def rules(factor: Array) -> Rule:
    """Every rule at its customary rate times the factor; one that breaks down stands still."""
    made = {name: make(rate * factor) for name, (rate, make) in RULES.items()}
    return side_by_side(**{name: guard(descend(loss, rule), skip) for name, rule in made.items()})


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    train, valid, test = (part | {"x": part["x"].reshape(-1, 64)} for part in digits())
    net = MLP(64, (config.width, config.width), 10, rngs=nnx.Rngs(config.seed))
    nets = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], len(FACTORS), axis=0), net)
    model = {name: jax.tree.map(jnp.copy, nets) for name in RULES}
    protocol = {"data": "digits", "split": "test", "sha256": sha256(test["x"])}
    order_key = jax.random.fold_in(jax.random.key(config.seed), 1)
    return Experiment(
        model=model,
        rule=sweep(rules, jnp.asarray(FACTORS, jnp.float32)),
        batches=in_memory(train, config.batch_size, order_key),
        learned=learned,
        draw=lambda model, key: {},
        validate=partial(validate, valid),
        n_test=len(RULES),
        evaluate=partial(evaluate, protocol, valid, test),
        sample=None,
        diagnose=partial(diagnose, valid),
    )


def learned(model: Model, state: State) -> Model:
    """The nets as they are to be judged: schedule-free ones at their average."""
    inner = state["schedule_free"]["rule"]
    definition, params = nnx.split(model["schedule_free"])
    average = optimizers.at_average(nnx.to_pure_dict(params), inner)
    return model | {"schedule_free": nnx.merge(definition, average)}


def cost_and_right(nets: MLP, x: Array, y: Array) -> tuple[Array, Array]:
    """Cross entropy in nats and whether the class is right, `(rates, n)`."""
    logits = jax.vmap(lambda net: net(x))(nets)
    return jax.vmap(cross_entropy, (0, None))(logits, y), jnp.argmax(logits, axis=-1) == y


_judge = jax.jit(cost_and_right)


def mean_costs(held_out: Batch, model: Model) -> dict[str, np.ndarray]:
    """For every rule the mean cross entropy in nats at each rate; infinite where it broke down."""
    x, y = jnp.asarray(held_out["x"]), jnp.asarray(held_out["y"])
    means = {name: np.asarray(_judge(nets, x, y)[0]).mean(axis=1) for name, nets in model.items()}
    return {name: np.nan_to_num(mean, nan=np.inf) for name, mean in means.items()}


def choose(held_out: Batch, model: Model) -> dict[str, int]:
    """For every rule the place of the rate with the least cross entropy on held-out data."""
    return {name: int(np.argmin(mean)) for name, mean in mean_costs(held_out, model).items()}


def validate(held_out: Batch, model: Model, key: Key) -> Mapping[str, float]:
    """The least cross entropy of every rule on the validation split, in nats."""
    del key
    return {name: float(mean.min()) for name, mean in mean_costs(held_out, model).items()}


def evaluate(
    protocol: Mapping[str, str],
    held_out: Batch,
    test: Batch,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The accuracy of every rule on the test split, at the rate that held-out data prefer."""
    del key
    x, y = jnp.asarray(test["x"]), jnp.asarray(test["y"])
    found, chosen = [], choose(held_out, model)
    for done, (name, i) in enumerate(chosen.items(), 1):
        found.append(
            from_values(
                _judge(model[name], x, y)[1][i],
                kind=Kind.EXACT,
                unit=Unit.NUMBER,
                quantity="accuracy",
                family=f"{name} at {rate_of(name, i):.2g}",
                protocol=protocol,
            )
        )
        progress(done)
    return sorted(found, key=lambda item: -item.value)


def rate_of(name: str, i: int) -> float:
    """The learning rate of the i-th net of a rule."""
    return RULES[name][0] * FACTORS[i]


def diagnose(held_out: Batch, model: Model, key: Key) -> Mapping[str, str]:
    """The rate that held-out data prefer for every rule, and how far it may be missed."""
    del key
    x, y = jnp.asarray(held_out["x"]), jnp.asarray(held_out["y"])
    told = {}
    for name, i in choose(held_out, model).items():
        accuracy = np.asarray(_judge(model[name], x, y)[1]).mean(axis=1)
        good = np.flatnonzero(accuracy >= accuracy.max() - 0.02)
        low, high = (rate_of(name, int(k)) for k in (good[0], good[-1]))
        told[name] = (
            f"best at {rate_of(name, i):.2g}; within 2 % of its best accuracy "
            f"from {low:.2g} to {high:.2g}"
        )
    return told


def curves_of(columns: Mapping[str, np.ndarray], name: str) -> dict[str, figure.Series]:
    """By learning rate the training loss of a rule."""
    return {
        f"{rate_of(name, i):.2g}": figure.Series(columns["step"], curve)
        for i, curve in enumerate(np.asarray(columns[f"{name}/loss"], np.float64).T)
    }


def panels(columns: Mapping[str, np.ndarray]) -> figure.Panels:
    """For each group of rules the training loss at the rate where it ends lowest."""
    found = {}
    for title, names in GROUPS.items():
        found[title] = {}
        for name in names:
            curves = curves_of(columns, name)
            rate = figure.lowest(curves)
            found[title][f"{name} {rate}"] = curves[rate]
    return found


def plot(columns: Mapping[str, np.ndarray], directory: Path) -> None:
    """One panel a rule, one curve a rate."""
    groups = {name: curves_of(columns, name) for name in RULES}
    figure.sweep(groups, directory / "final-curves.png", ylabel="training loss, nats")
