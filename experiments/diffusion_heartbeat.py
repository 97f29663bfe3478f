# SPDX-License-Identifier: Apache-2.0
"""Diffusion of bits on the binary heartbeat of Sohl-Dickstein et al. 2015, in bits a sequence.

Command: python -m experiments train diffusion_heartbeat
Hardware: 2 CPU cores, three minutes.
Expected: see FACTS below and experiments/README.md.

Sequences of 20 bits with a one in every fifth place, from a uniform phase: log2 p = −log2 5 =
−2.3219 for each of the five. The paper (arXiv:1503.03585, table 1) reports K = −2.414 with T = 2000
equal steps, whose best possible K is −2.40: K ties the last reverse step to the first forward one,
which then must be small. Here it is, with the retention 1 − (t/T)² and T = 5000.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import numpy as np
import optax
from flax import nnx

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, Positive
from jaxml.data import drawn, pattern
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models import binomial_diffusion
from jaxml.nn import TimeMLP
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("diffusion", "binary heartbeat, 20 bits", "-2.334 bits (K; the truth is -2.322)", 3)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "n_steps": 50,
    "width": 8,
    "n_test": 100,
    "n_times": 10,
}

LENGTH, PERIOD = 20, 5
PATTERN = pattern.heartbeat(LENGTH, PERIOD)
ROWS = 500  # test examples a call


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of diffusion_heartbeat."""

    seed: Natural = 0
    """Names the initialization and all draws."""
    steps: Count = 10_000
    """Gradient steps."""
    batch_size: Count = 256
    """Fresh sequences a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    n_steps: Count = 5000
    """T, steps of the diffusion."""
    power: Positive = 2.0
    """p in the retention 1 − (t/T)^p; the paper's chain has 1."""
    width: Count = 64
    """Features of the network's two blocks."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    n_test: Count = 20_000
    """Sequences over which K is the mean."""
    n_times: Count = 500
    """Steps of the diffusion looked at for each of them."""
    save_every: Count = 1000
    """Steps between checkpoints."""
    look_every: Count = 1000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir
    key = jax.random.key(config.seed)
    data_key, test_key = (jax.random.fold_in(key, i) for i in (1, 2))
    network = TimeMLP(LENGTH, config.width, 2, rngs=nnx.Rngs(config.seed))
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    learn = descend(binomial_diffusion.loss, optimizer)

    def examples(key: Key) -> Array:
        return PATTERN.sample(key, config.batch_size)

    return Experiment(
        model=binomial_diffusion.BinomialDiffusion(
            network, LENGTH, config.n_steps, power=config.power
        ),
        rule=guard(chain(learn=learn, average=average(config.decay))),
        batches=drawn(
            examples,
            data_key,
            batch_size=config.batch_size,
            pattern=f"heartbeat {LENGTH} {PERIOD}",
        ),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=draw,
        validate=partial(validate, config.n_times),
        n_test=config.n_test,
        evaluate=partial(evaluate, config, test_key),
        sample=sample,
        diagnose=diagnose,
    )


_sample = jax.jit(binomial_diffusion.sample, static_argnums=2)
_trajectory = jax.jit(binomial_diffusion.trajectory, static_argnums=2)
_k_bound = jax.jit(binomial_diffusion.k_bound, static_argnames="n_times")


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Draws from the model, a row each."""
    return _picture(_sample(model, key, n), "each row a sequence drawn from the model")


def draw(model: Model, key: Key) -> Mapping[str, Sheet]:
    """Sequences, and the way on which one of them came to be."""
    way = np.asarray(_trajectory(model, jax.random.fold_in(key, 1), 1))[:, 0]
    levels = np.linspace(0, len(way) - 1, 100).round().astype(int)
    caption = "one sequence on its way from fair coins, above, to the data, below"
    return {"samples": sample(model, key, 100), "way-back": _picture(way[levels], caption)}


def _picture(rows: Array | np.ndarray, caption: str) -> Sheet:
    """Rows of bits as one image, a square of pixels a bit."""
    return Sheet(np.asarray(rows).repeat(6, axis=0).repeat(6, axis=1)[None], 1, caption)


def validate(n_times: int, model: Model, key: Key) -> Mapping[str, float]:
    """K in bits over a few sequences."""
    data_key, noise_key = jax.random.split(key)
    x = PATTERN.sample(data_key, ROWS)
    k = np.asarray(_k_bound(model, x, noise_key, n_times=n_times))
    return {"k_bits": float(k.mean() / np.log(2))}


def evaluate(
    config: Config, test_key: Key, model: Model, key: Key, progress: Callable[[int], None]
) -> list[Evidence]:
    """K of sequences of their own, in bits and in nats."""
    parts = []
    for start in range(0, config.n_test, ROWS):
        data_key, noise_key = (jax.random.fold_in(k, start // ROWS) for k in (test_key, key))
        k = _k_bound(model, PATTERN.sample(data_key, ROWS), noise_key, n_times=config.n_times)
        parts.append(np.asarray(k)[: config.n_test - start])
        progress(min(start + ROWS, config.n_test))
    nats = from_values(
        np.concatenate(parts),
        kind=Kind.LOWER_BOUND,
        samples=config.n_times,
        dim=LENGTH,
        family="diffusion of bits",
        protocol={
            "data": f"binary heartbeat, length {LENGTH}, period {PERIOD}",
            "estimator": f"K with T = {config.n_steps}",
        },
    )
    return [convert(nats, Unit.BITS), nats]


def diagnose(model: Model, key: Key) -> Mapping[str, str]:
    """How many draws are heartbeats, and whether all phases occur."""
    x = _sample(model, key, 2000)
    beats = np.isfinite(np.asarray(PATTERN.log_prob(x)))
    phases = np.bincount(np.asarray(x)[beats].argmax(1), minlength=PERIOD)[:PERIOD]
    return {
        "truth": f"E log2 p = {-PATTERN.entropy / np.log(2):.4f} bits, which no K can exceed",
        "heartbeats": f"{100 * beats.mean():.1f} % of 2000 draws",
        "phases": ", ".join(map(str, phases)) + " draws of the five phases",
    }
