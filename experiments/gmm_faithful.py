# SPDX-License-Identifier: Apache-2.0
"""A mixture of Gaussians on the eruptions of Old Faithful, by expectation maximization.

Command: python -m experiments train gmm_faithful
Hardware: 2 CPU cores, half a minute.
Expected: see FACTS below and experiments/README.md.

272 eruptions of the geyser: how long each lasted and how long the next one was waited for (Azzalini
and Bowman 1990, Applied Statistics 39). Two components with full covariances reach Σ log p =
−1130.26 nats, the maximum that mclust finds for its model VVV. There is no test split: the evidence
is of the data that were fitted, and BIC says what that is worth.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Natural, Positive
from experiments.restarts import likeliest
from jaxml.data import in_memory, load, sha256
from jaxml.metrics import Evidence, Kind, Unit, from_values
from jaxml.models import mixture
from jaxml.probability import gaussian_mixture as gaussians
from jaxml.training import ensemble, figure, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("mixture", "Old Faithful, 272 eruptions", "-1130.26 nats for all rows", 0.5)
TINY = {"steps": 4, "save_every": 2, "look_every": 4, "n_starts": 2, "n_most": 2}
KINDS = {
    "full": gaussians.FULL,
    "tied": gaussians.TIED,
    "diagonal": gaussians.DIAGONAL,
    "spherical": gaussians.SPHERICAL,
}
AXES = "duration of the eruption, minutes", "waiting time to the next, minutes"


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of gmm_faithful."""

    seed: Natural = 0
    """Names the starts and all draws."""
    steps: Count = 100
    """Of expectation maximization, each over all of the data."""
    n_components: Count = 2
    """Of the mixture."""
    covariance: Literal["full", "tied", "diagonal", "spherical"] = "full"
    """What the covariances may be."""
    n_starts: Count = 20
    """Mixtures that learn side by side from other centers; the likeliest is kept."""
    n_most: Count = 5
    """Components up to which the report compares BIC."""
    floor: Positive = 1e-3
    """Least variance in any direction, of columns whose variance is 1."""
    save_every: Count = 20
    """Steps between checkpoints."""
    look_every: Count = 20
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `old_faithful.npz` in the data directory."""
    raw = load("old_faithful", data_dir)[0]["x"]
    center, scale = raw.mean(0), raw.std(0)
    x = jnp.asarray((raw - center) / scale, jnp.float32)
    key = jax.random.key(config.seed)
    model_key, order_key = (jax.random.fold_in(key, i) for i in range(2))
    units = Units(center, scale)
    return Experiment(
        model=_begun(x, jax.random.split(model_key, config.n_starts), config),
        rule=guard(ensemble(mixture.em(floor=config.floor), config.n_starts)),
        batches=in_memory(x, len(x), order_key),
        learned=partial(likeliest, mixture.log_prob, x),
        draw=partial(draw, units, x),
        validate=partial(validate, units, x),
        n_test=len(x),
        evaluate=partial(evaluate, units, x, sha256(raw)),
        sample=None,
        diagnose=partial(diagnose, units, config, x),
    )


@dataclasses.dataclass(frozen=True)
class Units:
    """What was subtracted from the columns, and what they were divided by."""

    center: np.ndarray
    scale: np.ndarray

    @property
    def log_det(self) -> float:
        """What densities of the columns as they are have less: Σ log scale, in nats."""
        return float(np.log(self.scale).sum())


def _begun(x: Array, keys: Key, config: Config) -> Model:
    start = partial(mixture.begun, kind=KINDS[config.covariance], floor=config.floor)
    return jax.vmap(lambda key: start(x, key, config.n_components))(keys)


_log_prob = jax.jit(mixture.log_prob)
_shares = jax.jit(mixture.responsibilities)


def log_probs(units: Units, model: Model, x: Array) -> np.ndarray:
    """log p of every eruption in nats, of minutes rather than of standard deviations."""
    return np.asarray(_log_prob(model, x), np.float64) - units.log_det


def covariances(model: Model) -> np.ndarray:
    """Of every component as a matrix, whatever the kind: what it makes of the unit vectors."""
    k, d = model.mean.shape
    eye = jnp.eye(d, dtype=model.mean[...].dtype)
    spread = jax.vmap(lambda e: model.kind.spread(model.covariance[...], jnp.tile(e[None], (k, 1))))
    columns = np.asarray(spread(eye), np.float64).transpose(1, 2, 0)
    return columns @ columns.transpose(0, 2, 1)


def draw(units: Units, x: Array, model: Model, key: Key) -> Mapping[str, Sheet]:
    """The eruptions in the colours of their components, and the components."""
    del key
    outer = units.scale[:, None] * units.scale[None]
    pixels = figure.clusters(
        np.asarray(x) * units.scale + units.center,
        np.asarray(_shares(model, x)),
        np.asarray(model.mean[...]) * units.scale + units.center,
        covariances(model) * outer,
        names=AXES,
        title="Old Faithful",
    )
    caption = "every eruption, and ellipses one and two standard deviations from the means"
    return {"clusters": Sheet(pixels[None], 1, caption)}


def validate(units: Units, x: Array, model: Model, key: Key) -> Mapping[str, float]:
    """Σ log p of the data, in nats."""
    del key
    return {"total_log_prob": float(log_probs(units, model, x).sum())}


def evaluate(
    units: Units,
    x: Array,
    data: str,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """log p of an eruption in nats, its sum over all of them, and BIC."""
    del key
    values = log_probs(units, model, x)
    about = {"data": "Old Faithful", "split": "the data that were fitted", "sha256": data}
    progress(len(x))
    told = {"family": "mixture", "protocol": about, "n": len(x), "kind": Kind.EXACT}
    total = float(values.sum())
    return [
        from_values(values, kind=Kind.EXACT, dim=2, family="mixture", protocol=about),
        Evidence(value=total, unit=Unit.NATS, quantity="log-likelihood of all rows", **told),
        Evidence(
            value=bic(units, model, x),
            unit=Unit.NUMBER,
            quantity="BIC",
            higher_is_better=False,
            **told,
        ),
    ]


def bic(units: Units, model: Model, x: Array) -> float:
    """−2 Σ log p + m log n, of minutes."""
    return float(mixture.bic(model, x)) + 2 * len(x) * units.log_det


def diagnose(units: Units, config: Config, x: Array, model: Model, key: Key) -> Mapping[str, str]:
    """What the components are, and what BIC says of other numbers of them."""
    told = {}
    weight, mean = np.exp(model.log_weight[...]), model.mean[...] * units.scale + units.center
    for i in np.argsort(-weight):
        told[f"component {len(told) + 1}"] = (
            f"{100 * weight[i]:.1f} % of eruptions, {mean[i, 0]:.2f} and {mean[i, 1]:.1f} minutes"
        )
    found = []
    for k in range(1, config.n_most + 1):
        keys = jax.random.split(jax.random.fold_in(key, k), config.n_starts)
        best = fitted(x, keys, dataclasses.replace(config, n_components=k))
        found.append(f"{bic(units, best, x):.1f} with {k}")
    return {**told, "BIC": ", ".join(found) + f" {config.covariance} components; the least is best"}


@partial(jax.jit, static_argnums=2)
def fitted(x: Array, keys: Key, config: Config) -> Model:
    """The likeliest of some mixtures after all steps."""
    rule = ensemble(mixture.em(floor=config.floor), config.n_starts)

    def step(models: Model, _: None) -> tuple[Model, None]:
        return rule.update(models, (), x, keys[0])[0], None

    models = jax.lax.scan(step, _begun(x, keys, config), length=config.steps)[0]
    return likeliest(mixture.log_prob, x, models, ())
