# SPDX-License-Identifier: Apache-2.0
"""A neural spline flow on every density of the plane, scored against the exact one in nats.

Command: python -m experiments train flow_toys
Hardware: 2 CPU cores, 8 minutes for seven densities.
Expected: see FACTS below and experiments/README.md.

The flows are alike and learn together, one a density, from fresh draws at every step. Because the
densities are known, the divergence KL(data ‖ model) = E[log p(x) − log q(x)] is measured and not
only its cross entropy; it is 0 for a perfect model.
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
from experiments.options import Count, Decay, Natural, Positive
from jaxml.data import drawn, toy
from jaxml.metrics import Evidence, Kind, Unit, from_values
from jaxml.models import flow
from jaxml.nn import elementwise
from jaxml.training import average, chain, descend, ensemble, guard
from jaxml.types import Array, Key, Model

FACTS = Facts(
    "flow",
    "7 densities of the plane",
    "KL(data || model) <= 0.02 nats, 0.05 where edges are sharp",
    8,
)
TINY = {
    "steps": 30,
    "save_every": 15,
    "look_every": 30,
    "width": 8,
    "n_blocks": 1,
    "n_bins": 4,
    "n_test": 500,
    "pixels": 24,
}

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

SCALE = 2.0  # data are divided by it, so that every density lies well inside of the splines


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of flow_toys."""

    seed: Natural = 0
    """Names the initialization and all draws."""
    steps: Count = 12_000
    """Gradient steps."""
    batch_size: Count = 256
    """Fresh examples of every density a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    n_blocks: Count = 3
    """Autoregressive layers, a learned linear map between them."""
    n_bins: Count = 16
    """Bins of a spline."""
    width: Count = 64
    """Features of the two hidden layers of each network."""
    decay: Decay = 0.995
    """Of the average of the weights that is evaluated."""
    n_test: Count = 100_000
    """Draws of each density over which the divergence is the mean."""
    pixels: Count = 120
    """Of a picture's side."""
    save_every: Count = 2000
    """Steps between checkpoints."""
    look_every: Count = 2000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir

    def make(key: Key) -> Model:
        return flow.autoregressive(
            2,
            config.n_blocks,
            elementwise.spline(config.n_bins),
            widths=(config.width, config.width),
            mix=True,
            rngs=nnx.Rngs(key),
        )

    key = jax.random.key(config.seed)
    model_key, data_key, test_key = (jax.random.fold_in(key, i) for i in range(3))
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    learn = descend(flow.loss, optax.chain(optax.clip_by_global_norm(5.0), optax.adam(rate)))
    one = chain(learn=learn, average=average(config.decay))

    def sample(key: Key) -> Array:
        return examples(key, config.batch_size) / SCALE

    return Experiment(
        model=jax.vmap(make)(jax.random.split(model_key, len(TOYS))),
        rule=guard(ensemble(one, len(TOYS), batches=True)),
        batches=drawn(sample, data_key, batch_size=config.batch_size, toys=", ".join(TOYS)),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, config.pixels),
        validate=partial(validate, min(config.n_test, 5000)),
        n_test=len(TOYS),
        evaluate=partial(evaluate, config.n_test, test_key),
        sample=None,
        diagnose=diagnose,
    )


def examples(key: Key, n: int) -> Array:
    """n draws of every density, `(toys, n, 2)`."""
    keys = jax.random.split(key, len(TOYS))
    return jnp.stack([t.sample(k, n) for k, (t, _) in zip(keys, TOYS.values(), strict=True)])


@jax.jit
def log_probs(models: Model, x: Array) -> Array:
    """log q(x) of every model at points of its own, `(toys, n)`, in the units of the data."""
    return jax.vmap(flow.log_prob)(models, x / SCALE) - 2 * jnp.log(SCALE)


def divergences(n: int, key: Key, models: Model) -> dict[str, np.ndarray]:
    """By density log p(x) − log q(x) at n draws."""
    x = jax.jit(examples, static_argnums=1)(key, n)
    parts = [log_probs(models, x[:, i : i + 5000]) for i in range(0, n, 5000)]
    found = {}
    for i, (name, (density, _)) in enumerate(TOYS.items()):
        exact = jax.jit(density.log_prob)
        log_p = [np.asarray(exact(x[i, j : j + 5000])) for j in range(0, n, 5000)]
        found[name] = np.concatenate(log_p) - np.concatenate([np.asarray(p[i]) for p in parts])
    return found


def draw(pixels: int, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Of every density the exact one, the learned one, and draws from the model."""
    rows = []
    n = 5 * pixels**2
    z = jax.jit(jax.vmap(partial(flow.sample, n=n)))(model, jax.random.split(key, len(TOYS)))
    side = [side for _, side in TOYS.values()]
    points = jnp.stack([_points(s, pixels) for s in side])
    learned = np.exp(np.asarray(log_probs(model, points))).reshape(-1, pixels, pixels)
    for i, (density, half) in enumerate(TOYS.values()):
        exact = np.exp(np.asarray(jax.jit(density.log_prob)(points[i]))).reshape(pixels, pixels)
        x = SCALE * np.asarray(z[i])
        edges = np.linspace(-half, half, pixels + 1)
        counts = np.histogram2d(x[:, 1], x[:, 0], bins=[edges, edges])[0]
        counts = counts / (n * (2 * half / pixels) ** 2)
        rows += [np.clip(p / exact.max(), 0, 1)[::-1] for p in (exact, learned[i], counts)]
    caption = "each row: the exact density, the learned one, and draws from the model"
    return {"densities": Sheet(np.stack(rows), 3, caption)}


def _points(side: float, pixels: int) -> Array:
    """Centres of the pixels, the first row at the bottom."""
    ticks = (np.arange(pixels) + 0.5) / pixels * 2 * side - side
    x, y = np.meshgrid(ticks, ticks)
    return jnp.asarray(np.stack([x, y], -1).reshape(-1, 2), jnp.float32)


def validate(n: int, model: Model, key: Key) -> Mapping[str, float]:
    """The divergence of every density in nats, over a few draws."""
    return {name: float(gap.mean()) for name, gap in divergences(n, key, model).items()}


def evaluate(
    n: int, test_key: Key, model: Model, key: Key, progress: Callable[[int], None]
) -> list[Evidence]:
    """KL(data ‖ model) of every density, in nats with its standard error."""
    del key
    found = []
    for done, (name, gap) in enumerate(divergences(n, test_key, model).items(), 1):
        density, _ = TOYS[name]
        found.append(
            from_values(
                gap,
                kind=Kind.EXACT,
                unit=Unit.NATS,
                higher_is_better=False,
                quantity="KL(data || model)",
                dim=2,
                family=f"flow on {name}",
                protocol={"data": name, "entropy": round(density.entropy, 6)},
            )
        )
        progress(done)
    return found


def diagnose(model: Model, key: Key) -> Mapping[str, str]:
    """What each learned density integrates to over a square somewhat larger than its picture."""
    del key
    told = {}
    points = jnp.stack([_points(1.6 * side, 300) for _, side in TOYS.values()])
    mass = np.exp(np.asarray(log_probs(model, points), np.float64)).sum(1)
    for i, (name, (_, side)) in enumerate(TOYS.items()):
        whole = mass[i] * (2 * 1.6 * side / 300) ** 2
        told[name] = f"the learned density integrates to {whole:.4f} on a grid of 300 x 300"
    return told
