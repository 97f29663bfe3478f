# SPDX-License-Identifier: Apache-2.0
"""Diffusion of bits: `binomial_diffusion.loss(model, batch, key)`, `.k_bound`, `.sample`.

Each bit is kept or drawn anew until nothing but fair coins is left; the way back is learned.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxml.diffusion.binomial import binomial_betas, lost
from jaxml.diffusion.binomial_bound import (
    binomial_k_bound,
    binomial_reverse,
    binomial_step_divergence,
)
from jaxml.diffusion.times import uniform
from jaxml.models.condition import unpack
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Scalar

Bits = Float[Array, "batch bits"]
Step = Int[Array, "batch"]
MOST = 20.0  # log-odds of what is nearly sure, as a network reads them


class BinomialDiffusion(nnx.Module):
    """p(x_{t−1} | x_t) by a guess of x_0: log-odds = what x_t says of its own bit + f(x_t, t).

    By Bayes's rule the first part is exact and f is what the other bits say; f reads the first part
    and t/T.

    Args:
      network: `(log-odds, t, context) -> f`, such as `jaxml.nn.TimeMLP`.
      n_bits: bits of an example.
      n_steps: T.
      power: see `jaxml.diffusion.binomial_betas`.

    Raises:
      ValueError: for no bit, or fewer than two steps.

    Reference: Sohl-Dickstein et al. 2015, arXiv:1503.03585.
    """

    def __init__(
        self, network: Callable[..., Array], n_bits: int, n_steps: int, *, power: float = 1.0
    ):
        if n_bits < 1 or n_steps < 2:
            raise ValueError(
                f"n_bits, n_steps: expected at least 1 and 2, got {n_bits} and {n_steps}"
            )
        binomial_betas(2, power)
        self.network, self.n_bits, self.n_steps = network, n_bits, n_steps
        self.power = float(power)


def guess(model: BinomialDiffusion, x: Bits, t: Step) -> Bits:
    """Log-odds of x_0 = 1 for every bit, given the whole of x_t."""
    _, gone = _chain(model)
    now = gone[t][:, None]
    own = (2 * x - 1) * (jnp.log(2 - now) - jnp.log(now))
    part = (t / model.n_steps).astype(x.dtype)
    return own + widen(model.network(jnp.clip(own, -MOST, MOST), part, None))


def loss(model: BinomialDiffusion, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """Mean −K over the batch in nats an example, from one step each: unbiased.

    Args:
      model: the model.
      batch: x_0, bits as 0 and 1.
      key: for steps and noise.
    """
    x, _ = unpack(batch)
    value = jnp.mean(_one_step(model, widen(x), key, jnp.zeros(()), 1))
    return -value, {"k_bits": value / jnp.log(2.0)}


def k_bound(
    model: BinomialDiffusion,
    x: Float[Array, "batch bits"],
    key: Key,
    *,
    n_times: int = 100,
) -> Float[Array, "batch"]:
    """K in nats; its mean over data is a lower bound of E log p(x_0), that of one x is none.

    Args:
      model: the model.
      x: x_0, bits as 0 and 1.
      key: for steps and noise.
      n_times: steps an example, spread evenly over all of them.

    Raises:
      ValueError: for less than one.
    """
    if n_times < 1:
        raise ValueError(f"n_times: expected at least 1, got {n_times}")

    def part(i):
        return _one_step(model, x, jax.random.fold_in(key, i), i.astype(x.dtype), n_times)

    return jax.lax.map(part, jnp.arange(n_times)).mean(0)


def sample(model: BinomialDiffusion, key: Key, n: int) -> Float[Array, "n bits"]:
    """n draws, from fair coins back through all steps; bits are 0.0 and 1.0.

    The last of the steps is the first one of the chain, turned round.
    """
    return _back(model, key, n, lambda x: None)[0]


def trajectory(model: BinomialDiffusion, key: Key, n: int) -> Float[Array, "levels n bits"]:
    """The same draws at x_T, …, x_0: all of the way."""
    x, way = _back(model, key, n, lambda x: x)
    return jnp.concatenate([way, x[None]])


def _back(model: BinomialDiffusion, key: Key, n: int, keep: Callable) -> tuple[Bits, Any]:
    """x_0, and what is kept of x_T, …, x_1."""
    betas, gone = _chain(model)
    start_key, step_key, last_key = jax.random.split(key, 3)
    start = jax.random.bernoulli(start_key, 0.5, (n, model.n_bits)).astype(betas.dtype)

    def step(x, t):
        odds = binomial_reverse(x, guess(model, x, jnp.full(n, t)), betas[t - 1], gone[t - 1])
        chance = jax.random.uniform(jax.random.fold_in(step_key, t), x.shape, x.dtype)
        return (chance < jax.nn.sigmoid(odds)).astype(x.dtype), keep(x)

    x, way = jax.lax.scan(step, start, jnp.arange(model.n_steps, 1, -1))
    if way is not None:
        way = jnp.concatenate([way, x[None]])
    flip = jax.random.bernoulli(last_key, 0.5 * betas[0], x.shape)
    return jnp.where(flip, 1 - x, x), way


def _chain(model: BinomialDiffusion) -> tuple[Float[Array, " steps"], Float[Array, " levels"]]:
    betas = binomial_betas(model.n_steps, model.power)
    return betas, lost(betas)


def _one_step(
    model: BinomialDiffusion, x0: Bits, key: Key, stratum: Scalar, n_strata: int
) -> Float[Array, "batch"]:
    """K of every row from one step t of its own, drawn from a stratum of 2 … T."""
    betas, gone = _chain(model)
    time_key, noise_key = jax.random.split(key)
    u = (uniform(time_key, len(x0)) + stratum) / n_strata
    t = 2 + jnp.minimum((u * (model.n_steps - 1)).astype(jnp.int32), model.n_steps - 2)
    # A bit changes with probability ½ (1 − kept): all its digits, where little is lost.
    flip = jax.random.bernoulli(noise_key, 0.5 * gone[t][:, None], x0.shape)
    x = jnp.where(flip, 1 - x0, x0)
    part = betas[t - 1][:, None], gone[t - 1][:, None]
    each = binomial_step_divergence(x, x0, guess(model, x, t), *part)
    return binomial_k_bound((model.n_steps - 1) * each, betas[0]).sum(axis=1)
