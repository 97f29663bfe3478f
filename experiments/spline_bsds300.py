# SPDX-License-Identifier: Apache-2.0
"""An autoregressive flow, of splines or affine, on patches of natural images.

Command: python -m experiments train spline_bsds300
         python -m experiments train spline_bsds300 --n-bins 0 --run-dir runs/maf_bsds300
Hardware: 2 CPU cores, about 50 minutes.
Expected: see FACTS below and experiments/README.md.

A Gaussian with full covariance reaches 96 nats; the flow begins as one, for its first layer whitens
the data. Published flows reach 153 to 157.5 nats with ten times the patches (Papamakarios et al.
2017, Table 1, arXiv:1705.07057; Durkan et al. 2019, Table 1, arXiv:1906.04032).
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.bsds300 import DIM, patches, show
from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.bijections import Bijection, Limit, linear, linear_inverse
from jaxml.metrics import Evidence, Kind, from_values
from jaxml.models import flow
from jaxml.nn import Chain, Learned, elementwise
from jaxml.training import average, chain, descend, guard
from jaxml.types import Key, Model

FACTS = Facts("flow", "BSDS300 patches", "151.8 nats", 50)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "width": 64,
    "n_blocks": 1,
    "n_bins": 3,
    "n_test": 300,
}
ROWS = 500  # test examples per call


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of spline_bsds300."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 20_000
    """Gradient steps; 387 of them are one epoch at the default batch size."""
    batch_size: Count = 256
    """Examples a step."""
    learning_rate: Positive = 1e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    n_blocks: Count = 5
    """Autoregressive layers, a learned linear map before each."""
    n_bins: Natural = 8
    """Bins of a spline; 0 makes the layers affine, which is a MAF."""
    width: Count = 248
    """Features of the two hidden layers of each network."""
    weight_decay: NonNegative = 1e-2
    """Decoupled, per unit of learning rate."""
    flips: bool = True
    """Mirror training patches and turn them upside down, at random."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_test: Count = 30_000
    """Test patches, from the first."""
    save_every: Count = 2000
    """Steps between checkpoints."""
    look_every: Count = 2000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `bsds300_patches.npz` in the data directory."""
    order_key = jax.random.fold_in(jax.random.key(config.seed), 1)
    data = patches(data_dir, config.batch_size, order_key, n_test=config.n_test, flips=config.flips)
    affine = elementwise.affine()
    kind = elementwise.spline(config.n_bins, Limit(-6.0, 6.0)) if config.n_bins else affine
    model = flow.autoregressive(
        DIM,
        config.n_blocks,
        kind,
        widths=(config.width, config.width),
        mix=True,
        rngs=nnx.Rngs(config.seed),
    )
    whiten = Bijection(linear, linear_inverse, 1)
    start = jnp.asarray(data.whitening, jnp.float32)
    model.layers = Chain([Learned(whiten, start, constant=True), model.layers])
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adamw(rate, weight_decay=config.weight_decay)
    )
    rule = guard(chain(learn=descend(flow.loss, optimizer), average=average(config.decay)))
    return Experiment(
        model=model,
        rule=rule,
        batches=data.batches,
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, data.valid),
        validate=partial(validate, data.valid),
        n_test=len(data.test),
        evaluate=partial(evaluate, data.protocol, data.test),
        sample=sample,
        diagnose=partial(diagnose, data.valid),
    )


_log_prob = jax.jit(flow.log_prob)
_sample = jax.jit(flow.sample, static_argnums=2)
_encode = jax.jit(flow.encode)


def log_probs(x: np.ndarray, model: Model, progress: Callable[[int], None] | None = None):
    """log p of every row, in nats."""
    parts = []
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        full = np.concatenate([part, np.repeat(part[-1:], ROWS - len(part), axis=0)])
        parts.append(np.asarray(_log_prob(model, jnp.asarray(full)))[: len(part)])
        if progress is not None:
            progress(start + len(part))
    return np.concatenate(parts)


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Draws from p, with their last pixel restored."""
    x = _sample(model, key, n)
    return Sheet(show(x), int(np.ceil(np.sqrt(n))), "samples: patches drawn from the flow")


def draw(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, and beside them held-out patches."""
    return {
        "samples": sample(model, key, 100),
        "data": Sheet(show(held_out[:100]), 10, "held-out patches"),
    }


def validate(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, float]:
    """The mean log p of the validation split, in nats."""
    del key
    return {"log_prob": float(log_probs(held_out, model).mean())}


def evaluate(
    protocol: Mapping[str, str],
    test: np.ndarray,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The mean log p of the test split, exact, in nats."""
    del key
    values = log_probs(test, model, progress)
    return [from_values(values, kind=Kind.EXACT, family="flow", dim=DIM, protocol=protocol)]


def diagnose(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, str]:
    """Whether z looks like the base: a flow that fits has uncorrelated unit normals."""
    del key
    z = np.asarray(_encode(model, jnp.asarray(held_out[:5000])))
    cov = np.cov(z.T)
    off = np.abs(cov - np.diag(np.diag(cov))).max()
    scales = np.sqrt(np.diag(cov))
    return {
        "noise": f"standard deviations of z from {scales.min():.3f} to {scales.max():.3f}, "
        f"largest covariance {off:.3f}"
    }
