# SPDX-License-Identifier: Apache-2.0
"""Diffusion on a swiss roll, scored by the bound K of Sohl-Dickstein et al. 2015, in bits.

Command: python -m experiments train diffusion_swissroll
Hardware: 2 CPU cores, about 10 minutes.
Expected: see FACTS below and experiments/README.md.

The roll is `jaxml.data.toy.swiss_roll(0.2)`: radius t/5 at the angle t, t uniform in
(3π/2, 9π/2), and N(0, 0.2²) noise on both coordinates; divided by one number, so that the mean of
|x|² is 2. Its entropy is known from its density on a grid. The paper (arXiv:1503.03585, table 1)
reports K = 2.35 bits on a roll of its own, whose noise it does not state: that number and these are
no pair.
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

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, Positive
from jaxml.data import drawn, toy
from jaxml.diffusion import Points, V, dpm_plus_plus, grid, linear_log_snr, points
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models import diffusion
from jaxml.nn import TimeMLP
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("diffusion", "swiss roll, unit variance", "-2.90 bits (K; the truth is -2.877)", 10)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "n_steps": 20,
    "width": 8,
    "n_blocks": 1,
    "n_test": 100,
}

NOISE = 0.2
ROLL = toy.swiss_roll(NOISE)
_FIRST, _LAST = 1.5 * math.pi, 4.5 * math.pi
_SQUARE = (_LAST**3 - _FIRST**3) / (3 * (_LAST - _FIRST)) / 25 + 2 * NOISE**2
SCALE = math.sqrt(_SQUARE / 2)
"""√(E|x|²/2) of the roll as it is drawn."""
ENTROPY = ROLL.entropy - 2 * math.log(SCALE)
"""Of the scaled roll, in nats."""
ROWS = 1000  # test examples a call
SIDE = 2.4  # half the side of the pictures' square


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of diffusion_swissroll."""

    seed: Natural = 0
    """Names the initialization and all draws."""
    steps: Count = 20_000
    """Gradient steps."""
    batch_size: Count = 512
    """Fresh points a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    n_steps: Count = 1000
    """T, steps of the diffusion."""
    width: Count = 96
    """Features of the network's blocks."""
    n_blocks: Count = 3
    """Blocks of the network."""
    least: Positive = 11.0
    """Log-SNR where the least noise is; where the most is, it is as far below 0."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    n_test: Count = 20_000
    """Points over which K is the mean."""
    save_every: Count = 2000
    """Steps between checkpoints."""
    look_every: Count = 2000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir
    key = jax.random.key(config.seed)
    data_key, test_key = (jax.random.fold_in(key, i) for i in (1, 2))
    model = diffusion.Diffusion(
        TimeMLP(2, config.width, config.n_blocks, rngs=nnx.Rngs(config.seed)),
        linear_log_snr(-config.least, config.least),
        parameterization=V,
        shape=(2,),
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def examples(key: Key) -> Array:
        return ROLL.sample(key, config.batch_size) / SCALE

    return Experiment(
        model=model,
        rule=guard(
            chain(learn=descend(diffusion.bound_loss, optimizer), average=average(config.decay))
        ),
        batches=drawn(examples, data_key, batch_size=config.batch_size, noise=NOISE),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=draw,
        validate=partial(validate, config.n_steps),
        n_test=config.n_test,
        evaluate=partial(evaluate, config, test_key),
        sample=sample,
        diagnose=diagnose,
    )


def _path(model: Model, n_steps: int) -> Points:
    return points(model.schedule, jnp.linspace(1.0, 0.0, n_steps))


@partial(jax.jit, static_argnums=3)
def _k_bound(model: Model, x: Array, key: Key, n_steps: int, used: Array) -> Array:
    path = _path(model, n_steps)
    return diffusion.k_bound(diffusion.terms(model, x, key, path, used), path, 2)


@partial(jax.jit, static_argnums=2)
def _variances(model: Model, key: Key, n_steps: int) -> Array:
    """The best of every step, over draws that are not tested."""
    data_key, noise_key = jax.random.split(key)
    x = ROLL.sample(data_key, ROWS) / SCALE
    return diffusion.best_variances(model, x, noise_key, _path(model, n_steps))


@partial(jax.jit, static_argnums=2)
def _sample(model: Model, key: Key, n: int) -> Array:
    path = points(model.schedule, grid.uniform(60, last=0.0))
    return diffusion.sample(model, key, n, solver=dpm_plus_plus(2), path=path)


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Draws from the model, as a picture of their density."""
    x = np.asarray(_sample(model, key, n))
    return Sheet(_density(x)[None], 1, f"{n} draws from the model, by 61 steps of a fast solver")


def draw(model: Model, key: Key) -> Mapping[str, Sheet]:
    """Data beside draws from the model."""
    data_key, model_key = jax.random.split(key)
    data = np.asarray(ROLL.sample(data_key, 20_000)) / SCALE
    found = np.asarray(_sample(model, model_key, 20_000))
    caption = "20,000 points of the data and as many from the model, by 61 steps of a fast solver"
    return {"samples": Sheet(np.stack([_density(data), _density(found)]), 2, caption)}


def _density(x: np.ndarray) -> np.ndarray:
    edges = np.linspace(-SIDE, SIDE, 161)
    counts = np.histogram2d(x[:, 1], x[:, 0], bins=[edges, edges])[0]
    return np.clip(counts / max(np.quantile(counts, 0.995), 1), 0, 1)[::-1]


def validate(n_steps: int, model: Model, key: Key) -> Mapping[str, float]:
    """K in bits over a few points."""
    data_key, variance_key, noise_key = jax.random.split(key, 3)
    x = ROLL.sample(data_key, ROWS) / SCALE
    k = _k_bound(model, x, noise_key, n_steps, _variances(model, variance_key, n_steps))
    return {"k_bits": float(np.asarray(k).mean() / np.log(2))}


def evaluate(
    config: Config, test_key: Key, model: Model, key: Key, progress: Callable[[int], None]
) -> list[Evidence]:
    """K of points of their own, in bits and in nats."""
    variance_key, noise_key = jax.random.split(key)
    used, parts = _variances(model, variance_key, config.n_steps), []
    for start in range(0, config.n_test, ROWS):
        part = start // ROWS
        x = ROLL.sample(jax.random.fold_in(test_key, part), ROWS) / SCALE
        k = _k_bound(model, x, jax.random.fold_in(noise_key, part), config.n_steps, used)
        parts.append(np.asarray(k)[: config.n_test - start])
        progress(min(start + ROWS, config.n_test))
    nats = from_values(
        np.concatenate(parts),
        kind=Kind.LOWER_BOUND,
        samples=1,
        dim=2,
        family="diffusion",
        protocol={
            "data": f"swiss roll, noise {NOISE}, E|x|^2 = 2",
            "estimator": f"K with T = {config.n_steps}",
        },
    )
    return [convert(nats, Unit.BITS), nats]


def diagnose(model: Model, key: Key) -> Mapping[str, str]:
    """The truth, and what a normal law would reach."""
    del model, key
    null = -0.5 * 2 * math.log2(2 * math.pi * math.e)
    return {
        "truth": f"E log2 p = {-ENTROPY / math.log(2):.4f} bits, which no K can exceed",
        "null": f"K of N(0, I) is {null:.4f} bits; the difference counts the structure",
    }
