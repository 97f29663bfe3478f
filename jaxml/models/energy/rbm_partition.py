# SPDX-License-Identifier: Apache-2.0
"""log Z of a restricted Boltzmann machine: exactly where one side is small, by bounds elsewhere."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.models.energy.rbm import (
    RBM,
    Visible,
    Weights,
    free_energy,
    gibbs,
    log_density,
    visible_logits,
    weights,
)
from jaxml.numerics import logsumexp, softplus
from jaxml.probability import bernoulli, mcmc
from jaxml.probability.importance import LogMean
from jaxml.types import Batch, Key, Metrics, Scalar

MOST = 20  # units that are enumerated: a million states
ROWS = 2**12  # states at once


def log_partition(model: RBM) -> Scalar:
    """log Z = log Σ_v e^{−F(v)} in nats, by enumeration of the smaller side.

    Raises:
      ValueError: if both sides have more than 20 units.
    """
    return logsumexp(_marginals(weights(model))[0])


def log_prob(model: RBM, v: Shaped[Array, "batch n_visible"]) -> Float[Array, "batch"]:
    """log p(v) = −F(v) − log Z in nats, exact.

    Raises:
      ValueError: if both sides have more than 20 units.
    """
    return -free_energy(model, v) - log_partition(model)


def exact_loss(model: RBM, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """Mean −log p(v) in nats: maximum likelihood, where it can be afforded.

    Its gradient in W is E_model vhᵀ − E_data vhᵀ.

    Raises:
      ValueError: if both sides have more than 20 units.
    """
    del key
    return -jnp.mean(log_prob(model, batch)), {}


def exact_sample(model: RBM, key: Key, n: int) -> Visible:
    """n independent draws, by enumeration of the smaller side.

    Raises:
      ValueError: if both sides have more than 20 units.
    """
    w = weights(model)
    log_p, hidden_side = _marginals(w)
    state_key, v_key = jax.random.split(key)
    # By the inverse distribution function: a Gumbel draw a state would be 2²⁰ of them a draw.
    edges = jnp.cumsum(jnp.exp(log_p - logsumexp(log_p)))
    u = jax.random.uniform(state_key, (n,), log_p.dtype) * edges[-1]
    n_units = len(w.hidden) if hidden_side else len(w.visible)
    states = _bits(jnp.searchsorted(edges, u, side="right"), n_units, log_p.dtype)
    if not hidden_side:
        return states
    return bernoulli.sample(visible_logits(w, states), v_key).astype(log_p.dtype)


def tempered(w: Weights, beta: Scalar, base: Float[Array, "n_visible"]) -> Weights:
    """(βW, (1 − β)a + βb, βc): at β = 0 independent bits with log-odds a, at β = 1 the machine.

    Reference: Salakhutdinov and Murray 2008, section 4.1.
    """
    return Weights(beta * w.kernel, (1 - beta) * base + beta * w.visible, beta * w.hidden)


def base_log_partition(w: Weights, base: Float[Array, "n_visible"]) -> Scalar:
    """log Z at β = 0: Σ_i softplus(a_i) + n_hidden log 2."""
    return jnp.sum(softplus(base)) + len(w.hidden) * math.log(2)


def lower_bound(
    model: RBM,
    key: Key,
    n: int,
    betas: Float[Array, "steps"],
    *,
    base: Float[Array, "n_visible"] | None = None,
) -> LogMean:
    """A stochastic lower bound of log Z in nats, by n annealed chains.

    Args:
      model: the model.
      key: for the chains.
      n: how many.
      betas: rising from 0 to 1.
      base: a, log-odds of the bits with which chains begin; best those of the data's means. By
        default b.

    Raises:
      ValueError: for fewer than two chains or βs.

    Reference: Salakhutdinov and Murray 2008, algorithm 1; Neal 2001, arXiv:physics/9803008.
    """
    w = weights(model)
    base = w.visible if base is None else base
    v_key, key = jax.random.split(key)
    v = bernoulli.sample(jnp.broadcast_to(base[None], (n, len(base))), v_key).astype(base.dtype)
    found = mcmc.lower_bound(*_path(w, base), v, key, betas)
    return found._replace(value=found.value + base_log_partition(w, base))


def upper_bound(
    model: RBM,
    v: Visible,
    key: Key,
    betas: Float[Array, "steps"],
    *,
    base: Float[Array, "n_visible"] | None = None,
) -> LogMean:
    """A stochastic upper bound of log Z in nats, by chains that are annealed backwards.

    Args:
      model: the model.
      v: exact draws of it, one a chain (`exact_sample`); with draws of chains that have not mixed
        this is an estimate.
      key: for the chains.
      betas: rising from 0 to 1.
      base: as for `lower_bound`.

    Raises:
      ValueError: for fewer than two chains or βs.

    Reference: Grosse et al. 2015, section 3, arXiv:1511.02543.
    """
    w = weights(model)
    base = w.visible if base is None else base
    found = mcmc.upper_bound(*_path(w, base), v, key, betas)
    return found._replace(value=found.value + base_log_partition(w, base))


def _path(w: Weights, base: Array) -> tuple[mcmc.annealing.Path, mcmc.annealing.Kernel]:
    def path(v: Array, beta: Scalar) -> Scalar:
        return log_density(tempered(w, beta, base), v[None])[0]

    def kernel(v: Array, beta: Scalar, key: Key) -> Array:
        return gibbs(tempered(w, beta, base), v[None], key)[0]

    return path, kernel


def _marginals(w: Weights) -> tuple[Float[Array, "states"], bool]:
    """log Σ over the larger side for every state of the smaller one, and whether that is hidden."""
    n_visible, n_hidden = w.kernel.shape
    if min(n_visible, n_hidden) > MOST:
        raise ValueError(
            f"model: expected at most {MOST} units on one side, got {n_visible} and {n_hidden}"
        )
    hidden_side = n_hidden <= n_visible
    side = Weights(w.kernel.T, w.hidden, w.visible) if hidden_side else w
    n = len(side.visible)
    rows = min(ROWS, 2**n)

    def block(i):
        return log_density(side, _bits(i * rows + jnp.arange(rows), n, w.kernel.dtype))

    return jax.lax.map(block, jnp.arange(2**n // rows)).reshape(-1), hidden_side


def _bits(number: Array, n: int, dtype) -> Array:
    return ((number[:, None] >> jnp.arange(n)[None]) & 1).astype(dtype)
