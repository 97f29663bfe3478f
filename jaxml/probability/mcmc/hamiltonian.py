# SPDX-License-Identifier: Apache-2.0
"""Hamiltonian Monte Carlo: long moves along which log p − ½ pᵀM⁻¹p hardly changes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.mcmc.chain import Chain, LogProb, Move, start
from jaxml.probability.mcmc.metropolis import decide
from jaxml.types import Key, Scalar

Step = float | Float[Array, ""]
Diagonal = float | Float[Array, "*#event"]


def leapfrog(
    slope: Callable[[Array], Array],
    x: Float[Array, "*event"],
    momentum: Float[Array, "*event"],
    step_size: Step,
    n_steps: int,
    *,
    inverse_mass: Diagonal = 1.0,
) -> tuple[Float[Array, "*event"], Float[Array, "*event"]]:
    """[p += ε/2 ∇log π(x); x += ε M⁻¹p; p += ε/2 ∇log π(x)] n times.

    Reversible (turn p and go back), of volume 1, with an error of the energy of order ε².

    Args:
      slope: ∇ log π.
      x: the position.
      momentum: p.
      step_size: ε.
      n_steps: n.
      inverse_mass: the diagonal of M⁻¹, best the variances of the target.

    Raises:
      ValueError: for less than one step.

    Reference: Neal 2011, equations 2.28 to 2.30, arXiv:1206.1901.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")

    def step(carry, _):
        x, p = carry
        x = x + step_size * inverse_mass * p
        return (x, p + step_size * slope(x)), None

    # Half a step first and half of one back at the end: n + 1 slopes in place of 2n.
    p = momentum + 0.5 * step_size * slope(x)
    (x, p), _ = jax.lax.scan(step, (x, p), length=n_steps)
    return x, p - 0.5 * step_size * slope(x)


def kinetic(momentum: Float[Array, "*event"], inverse_mass: Diagonal = 1.0) -> Scalar:
    """½ pᵀM⁻¹p."""
    return 0.5 * jnp.sum(jnp.square(momentum) * inverse_mass)


def hamiltonian(
    log_prob: LogProb,
    chain: Chain,
    key: Key,
    step_size: Step,
    n_steps: int,
    *,
    inverse_mass: Diagonal = 1.0,
) -> tuple[Chain, Move]:
    """One step of Hamiltonian Monte Carlo: a fresh momentum, n leapfrog steps, and a decision.

    Args:
      log_prob: of the target.
      chain: where it stands, by `start`; if it has a slope, that of the new place replaces it.
      key: for momentum and decision.
      step_size: ε.
      n_steps: leapfrog steps.
      inverse_mass: the diagonal of M⁻¹; the momentum is from N(0, M).

    Raises:
      ValueError: for less than one leapfrog step.

    Reference: Neal 2011, section 3.2, arXiv:1206.1901; Duane et al. 1987.
    """
    momentum_key, accept_key = jax.random.split(key)
    eps = jax.random.normal(momentum_key, chain.x.shape, chain.x.dtype)
    p = eps / jnp.sqrt(jnp.asarray(inverse_mass, chain.x.dtype))
    x, q = leapfrog(jax.grad(log_prob), chain.x, p, step_size, n_steps, inverse_mass=inverse_mass)
    then = start(log_prob, x, slope=chain.slope is not None)
    return decide(chain, then, kinetic(p, inverse_mass) - kinetic(q, inverse_mass), accept_key)
