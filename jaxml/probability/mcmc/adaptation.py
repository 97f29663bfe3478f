# SPDX-License-Identifier: Apache-2.0
"""Step sizes that reach a wanted share of accepted proposals, by dual averaging."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxml.probability.mcmc.chain import Chain, Move
from jaxml.types import Key, Scalar


class DualAverage(NamedTuple):
    """What dual averaging remembers.

    Attributes:
      log_step: log ε of the next step.
      log_average: its weighted average, where the search ends.
      error: the mean of wanted − reached acceptance so far.
      n: steps so far.
      center: μ = log 10ε_0, towards which log ε is drawn.
    """

    log_step: Float[Array, "*shape"]
    log_average: Float[Array, "*shape"]
    error: Float[Array, "*shape"]
    n: Int[Array, ""]
    center: Float[Array, "*shape"]


def init(step_size: Float[Array, "*shape"]) -> DualAverage:
    """The search that begins at ε_0."""
    log_step = jnp.log(step_size)
    zero = jnp.zeros_like(log_step)
    return DualAverage(log_step, zero, zero, jnp.zeros((), jnp.int32), log_step + jnp.log(10.0))


def update(
    state: DualAverage,
    acceptance: Float[Array, "*shape"],
    *,
    target: float = 0.8,
    gamma: float = 0.05,
    t0: float = 10.0,
    kappa: float = 0.75,
) -> DualAverage:
    """log ε_{m+1} = μ − (√m/γ) H̄_m, H̄_m the mean of δ − α; log ε̄ averages with weights m^−κ.

    Args:
      state: of the search.
      acceptance: α of the last step, or its mean over chains; NaN counts as 0.
      target: δ.
      gamma: γ; larger moves less.
      t0: steps by which the first ones are held back.
      kappa: κ in (½, 1]; smaller forgets the first steps sooner.

    Raises:
      ValueError: if the target is not in (0, 1).

    Reference: Hoffman and Gelman 2014, equation 6, arXiv:1111.4246.
    """
    if not 0 < target < 1:
        raise ValueError(f"target: expected a share in (0, 1), got {target}")
    n = state.n + 1
    m = n.astype(state.error.dtype)
    alpha = jnp.where(jnp.isnan(acceptance), 0.0, acceptance)
    error = state.error + (target - alpha - state.error) / (m + t0)
    log_step = state.center - jnp.sqrt(m) / gamma * error
    log_average = state.log_average + m**-kappa * (log_step - state.log_average)
    return DualAverage(log_step, log_average, error, n, state.center)


def adapt(
    kernel: Callable[[Chain, Key, Scalar], tuple[Chain, Move]],
    chains: Chain,
    key: Key,
    n: int,
    *,
    step_size: float = 0.1,
    target: float = 0.8,
) -> tuple[Chain, Scalar]:
    """n steps of many chains, in which they find one step size that is good for all of them.

    The draws of these steps are of no use: a kernel that changes with its own past does not keep
    its target.

    Args:
      kernel: `(chain, key, step_size) -> (chain, move)`, of one chain.
      chains: with a leading axis.
      key: step i of chain j draws from `split(fold_in(key, i))[j]`.
      n: how many steps.
      step_size: ε_0.
      target: the wanted mean acceptance: 0.8 for Hamiltonian steps, 0.57 for Langevin's, 0.23 for
        a random walk in many dimensions.

    Returns:
      The chains, and the averaged step size.

    Raises:
      ValueError: for less than one step, a step size that is not positive, a target outside (0, 1).
    """
    if n < 1 or not step_size > 0:
        raise ValueError(f"n, step_size: expected positive numbers, got {n} and {step_size}")
    n_chains = len(chains.log_prob)

    def once(carry, i):
        chains, search = carry
        keys = jax.random.split(jax.random.fold_in(key, i), n_chains)
        chains, move = jax.vmap(kernel, (0, 0, None))(chains, keys, jnp.exp(search.log_step))
        return (chains, update(search, jnp.mean(move.acceptance), target=target)), None

    search = init(jnp.asarray(step_size, chains.log_prob.dtype))
    (chains, search), _ = jax.lax.scan(once, (chains, search), jnp.arange(n))
    return chains, jnp.exp(search.log_average)
