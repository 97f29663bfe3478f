# SPDX-License-Identifier: Apache-2.0
"""What a model of every density of the plane shows and measures: divergences from the exact ones.

The models are alike and learn together, one a density. Because the densities are known,
KL(data ‖ model) = E[log p(x) − log q(x)] is measured and not only its cross entropy; it is 0 for a
perfect model.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.experiment import Experiment, Sheet
from jaxml.data import drawn, toy
from jaxml.metrics import Evidence, Kind, Unit, from_values
from jaxml.training import average, chain, descend, ensemble, guard
from jaxml.types import Array, Key, Loss, Model, Rule

TOYS: Mapping[str, tuple[toy.Toy, float]] = {
    "eight Gaussians": (toy.gaussian_ring(), 4.5),
    "two moons": (toy.two_moons(), 2.5),
    "pinwheel": (toy.pinwheel(), 4.5),
    "spirals": (toy.spirals(), 4.0),
    "swiss roll": (toy.swiss_roll(), 3.5),
    "checkerboard": (toy.checkerboard(), 4.5),
    "25 Gaussians": (toy.gaussian_grid(scale=0.2), 5.0),
}
"""By name the density and half the side of the square in which it is drawn."""

SCALE = 2.0  # data are divided by it, so that every density is about as wide as N(0, I)
ROWS = 2000  # points of every density a call


class Family(NamedTuple):
    """What is asked of a family of models over the plane.

    Attributes:
      name: the family.
      kind: how its log q stands to the truth.
      log_prob: `(model, x) -> log q(x)` in nats, for points in units of SCALE.
      sample: `(model, key, n) -> x`, in units of SCALE.
      estimator: how log q is computed.
    """

    name: str
    kind: Kind
    log_prob: Callable[[Model, Array], Array]
    sample: Callable[[Model, Key, int], Array]
    estimator: str = "change of variables"

    def log_probs(self, models: Model, x: Array) -> Array:
        """log q(x) of every model at points of its own, `(toys, n)`, in the units of the data."""
        return _log_probs(self.log_prob, models, x)


@partial(jax.jit, static_argnums=0)
def _log_probs(log_prob: Callable, models: Model, x: Array) -> Array:
    return jax.vmap(log_prob)(models, x / SCALE) - 2 * jnp.log(SCALE)


@partial(jax.jit, static_argnums=(0, 3))
def _samples(sample: Callable, models: Model, keys: Array, n: int) -> Array:
    return SCALE * jax.vmap(lambda model, key: sample(model, key, n))(models, keys)


def experiment(
    family: Family, make: Callable[[Key], Model], loss: Loss, optimizer: Any, options: Any
) -> Experiment:
    """One model a density, all learning together from fresh draws; the average of each counts.

    Args:
      family: see `Family`.
      make: a fresh model from a key.
      loss: of one model.
      optimizer: of one model.
      options: a `Config` with seed, batch_size, decay, n_test and pixels.
    """
    return with_rule(family, make, descend(loss, optimizer), options)


def with_rule(
    family: Family, make: Callable[[Key], Model], learn: Rule, options: Any
) -> Experiment:
    """`experiment` with any rule for one model.

    Args:
      family: see `Family`.
      make: a fresh model from a key.
      learn: the rule of one model, in units of SCALE.
      options: a `Config` with seed, batch_size, decay, n_test and pixels.
    """
    key = jax.random.key(options.seed)
    model_key, data_key, test_key = (jax.random.fold_in(key, i) for i in range(3))
    one = chain(learn=learn, average=average(options.decay))

    def batch(key: Key) -> Array:
        return examples(key, options.batch_size) / SCALE

    return Experiment(
        model=jax.vmap(make)(jax.random.split(model_key, len(TOYS))),
        rule=guard(ensemble(one, len(TOYS), batches=True)),
        batches=drawn(batch, data_key, batch_size=options.batch_size, toys=", ".join(TOYS)),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, family, options.pixels),
        validate=partial(validate, family, min(options.n_test, ROWS)),
        n_test=options.n_test,
        evaluate=partial(evaluate, family, options.n_test, test_key),
        sample=None,
        diagnose=partial(diagnose, family, options.pixels),
    )


def examples(key: Key, n: int) -> Array:
    """n draws of every density, `(toys, n, 2)`."""
    keys = jax.random.split(key, len(TOYS))
    return jnp.stack([t.sample(k, n) for k, (t, _) in zip(keys, TOYS.values(), strict=True)])


def divergences(
    family: Family,
    n: int,
    key: Key,
    models: Model,
    progress: Callable[[int], None] = lambda n: None,
) -> dict[str, np.ndarray]:
    """By density log p(x) − log q(x) at n draws; `progress` is told how many are done."""
    x = jax.jit(examples, static_argnums=1)(key, n)
    cuts, parts = range(0, n, ROWS), []
    for i in cuts:
        parts.append(np.asarray(family.log_probs(models, x[:, i : i + ROWS])))
        progress(min(i + ROWS, n))
    found = {}
    for i, (name, (density, _)) in enumerate(TOYS.items()):
        exact = jax.jit(density.log_prob)
        log_p = [np.asarray(exact(x[i, j : j + ROWS])) for j in cuts]
        found[name] = np.concatenate(log_p) - np.concatenate([p[i] for p in parts])
    return found


def draw(family: Family, pixels: int, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Of every density the exact one, the learned one, and draws from the model."""
    rows = []
    n = 5 * pixels**2
    drawn = _samples(family.sample, model, jax.random.split(key, len(TOYS)), n)
    side = [side for _, side in TOYS.values()]
    points = jnp.stack([_points(s, pixels) for s in side])
    learned = np.exp(_in_parts(family, model, points)).reshape(-1, pixels, pixels)
    for i, (density, half) in enumerate(TOYS.values()):
        exact = np.exp(np.asarray(jax.jit(density.log_prob)(points[i]))).reshape(pixels, pixels)
        x = np.asarray(drawn[i])
        edges = np.linspace(-half, half, pixels + 1)
        counts = np.histogram2d(x[:, 1], x[:, 0], bins=[edges, edges])[0]
        counts = counts / (n * (2 * half / pixels) ** 2)
        rows += [np.clip(p / exact.max(), 0, 1)[::-1] for p in (exact, learned[i], counts)]
    caption = "each row: the exact density, the learned one, and draws from the model"
    return {"densities": Sheet(np.stack(rows), 3, caption)}


def _in_parts(family: Family, model: Model, points: Array) -> np.ndarray:
    cuts = range(0, points.shape[1], ROWS)
    parts = [np.asarray(family.log_probs(model, points[:, i : i + ROWS])) for i in cuts]
    return np.concatenate(parts, axis=1)


def _points(side: float, pixels: int) -> Array:
    """Centres of the pixels, the first row at the bottom."""
    ticks = (np.arange(pixels) + 0.5) / pixels * 2 * side - side
    x, y = np.meshgrid(ticks, ticks)
    return jnp.asarray(np.stack([x, y], -1).reshape(-1, 2), jnp.float32)


def validate(family: Family, n: int, model: Model, key: Key) -> Mapping[str, float]:
    """The divergence of every density in nats, over a few draws."""
    return {name: float(gap.mean()) for name, gap in divergences(family, n, key, model).items()}


def evaluate(
    family: Family,
    n: int,
    test_key: Key,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """KL(data ‖ model) of every density, in nats with its standard error."""
    del key
    found = []
    for name, gap in divergences(family, n, test_key, model, progress).items():
        density, _ = TOYS[name]
        found.append(
            from_values(
                gap,
                kind=family.kind,
                unit=Unit.NATS,
                higher_is_better=False,
                quantity="KL(data || model)",
                dim=2,
                family=f"{family.name} on {name}",
                protocol={
                    "data": name,
                    "entropy": round(density.entropy, 6),
                    "estimator": family.estimator,
                },
            )
        )
    return found


def diagnose(family: Family, pixels: int, model: Model, key: Key) -> Mapping[str, str]:
    """What each learned density integrates to over a square somewhat larger than its picture."""
    del key
    told = {}
    points = jnp.stack([_points(1.6 * side, pixels) for _, side in TOYS.values()])
    mass = np.exp(_in_parts(family, model, points).astype(np.float64)).sum(1)
    for i, (name, (_, side)) in enumerate(TOYS.items()):
        whole = mass[i] * (2 * 1.6 * side / pixels) ** 2
        told[name] = f"the learned density integrates to {whole:.4f} on {pixels} x {pixels} points"
    return told
