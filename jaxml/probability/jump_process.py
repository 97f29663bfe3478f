# SPDX-License-Identifier: Apache-2.0
"""Markov chains in continuous time: in state i for a time ~ Exp(λ_i), then a step to j ≠ i.

The generator Q = diag(λ)(P − I) has rates Q_ij ≥ 0 off its diagonal and rows that sum to 0. Its
stationary law is `markov_chain.stationary(Q)`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.types import Key, Scalar

Matrix = Float[Array, "k k"]
Vector = Float[Array, "k"]


class Jumps(NamedTuple):
    """What a generator says of single jumps.

    Attributes:
      rates: λ_i at which a state is left; 1/λ_i is the mean of its holding time.
      chain: P_ij of the state after a jump, with P_ii = 0; of a state that is never left, the
        identity's row.
    """

    rates: Vector
    chain: Matrix


class Trajectory(NamedTuple):
    """Where a process was, and from when on.

    Attributes:
      states: one after the other.
      times: at which each was entered; the first at 0. A time of ∞ never comes.
    """

    states: Integer[Array, "n"]
    times: Float[Array, "n"]


def generator(rates: Vector, chain: Matrix) -> Matrix:
    """Q = diag(λ)(P − I).

    Args:
      rates: λ.
      chain: P, of which only what is off the diagonal is a jump.
    """
    return rates[:, None] * (chain - jnp.eye(len(rates), dtype=chain.dtype))


def jumps(generator: Matrix) -> Jumps:
    """λ_i = −Q_ii and P_ij = Q_ij/λ_i.

    Args:
      generator: Q; its diagonal is not read.
    """
    eye = jnp.eye(len(generator), dtype=bool)
    off = jnp.where(eye, 0, generator)
    rates = off.sum(1)
    leaves = rates > 0
    chain = off / jnp.where(leaves, rates, 1)[:, None]
    return Jumps(rates, jnp.where(leaves[:, None], chain, eye.astype(chain.dtype)))


def transition(generator: Matrix, t: Scalar) -> Matrix:
    """P(t) = e^{tQ}, the solution of P' = QP = PQ (Kolmogorov's equations).

    Args:
      generator: Q.
      t: time, at least 0.
    """
    return jax.scipy.linalg.expm(t * generator)


def sample(log_initial: Vector, generator: Matrix, key: Key, n: int) -> Trajectory:
    """A first state, and then jump after jump: n states and the times at which they begin.

    Args:
      log_initial: logarithm of the law of the first state.
      generator: Q.
      key: for the draws.
      n: states.

    Raises:
      ValueError: if n is not positive.

    Reference: Norris 1997, Markov Chains, section 2.6; Gillespie 1977 for chemistry.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1, got {n}")
    rates, chain = jumps(generator)
    log_chain = jnp.log(chain)

    def step(carry: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], tuple]:
        state, time = carry
        wait_key, jump_key = jax.random.split(jax.random.fold_in(key, i))
        rate = rates[state]
        wait = jax.random.exponential(wait_key, dtype=rates.dtype)
        time = time + jnp.where(rate > 0, wait / jnp.where(rate > 0, rate, 1), jnp.inf)
        state = jax.random.categorical(jump_key, log_chain[state]).astype(jnp.int32)
        return (state, time), (state, time)

    first = jax.random.categorical(jax.random.fold_in(key, 0), log_initial).astype(jnp.int32)
    start = first, jnp.zeros((), rates.dtype)
    _, (states, times) = jax.lax.scan(step, start, jnp.arange(1, n))
    return Trajectory(jnp.append(first, states), jnp.append(start[1], times))


def state_at(trajectory: Trajectory, t: Float[Array, "*m"]) -> Integer[Array, "*m"]:
    """The state at each time; after the last jump that is known, the last state.

    Args:
      trajectory: of `sample`.
      t: times, at least 0.
    """
    place = jnp.searchsorted(trajectory.times, t, side="right") - 1
    return trajectory.states[jnp.clip(place, 0, len(trajectory.states) - 1)]


def log_prob(trajectory: Trajectory, end: Scalar, log_initial: Vector, generator: Matrix) -> Scalar:
    """log density of a trajectory that is seen up to `end`: Σ log Q_{ij} − Σ λ_i (time in i).

    Args:
      trajectory: all of its states are entered before `end`, which its length depends on.
      end: when one stopped looking.
      log_initial: logarithm of the law of the first state.
      generator: Q.

    Reference: Billingsley 1961, Statistical Inference for Markov Processes, equation 7.2.
    """
    states, times = trajectory
    rates, _ = jumps(generator)
    waits = jnp.diff(jnp.append(times, end))
    went = jnp.sum(jnp.log(generator[states[:-1], states[1:]]))
    return log_initial[states[0]] + went - jnp.sum(rates[states] * waits)
