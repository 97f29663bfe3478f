# SPDX-License-Identifier: Apache-2.0
"""Markov chains of finitely many states: P(X_{t+1} = j | X_t = i) = P_ij, rows that sum to 1.

As a kernel P acts on distributions from the right, μP, and on functions from the left, Pf; the
kernel of two steps is the product PP.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxml.types import Key, Scalar

Matrix = Float[Array, "k k"]
Vector = Float[Array, "k"]


def n_step(transition: Matrix, n: int) -> Matrix:
    """Pⁿ, the probabilities of n steps (Chapman and Kolmogorov).

    Args:
      transition: P.
      n: steps, at least 0.

    Raises:
      ValueError: if n is negative.
    """
    if n < 0:
        raise ValueError(f"n: expected at least 0, got {n}")
    return jnp.linalg.matrix_power(transition, n)


def stationary(transition: Matrix) -> Vector:
    """π with πP = π and Σ π = 1, by elimination without a subtraction.

    Every π_i has nearly all of its digits, however rarely the chain goes from one part to another.
    The diagonal is not read: rates of a process in continuous time give its stationary law.

    Args:
      transition: P of an irreducible chain, or a matrix of rates. Of states that the chain leaves
        for good the result is NaN or depends on their order.

    Reference: Grassmann, Taksar and Heyman 1985, Operations Research 33(5).
    """
    k = len(transition)
    places = jnp.arange(k)

    def eliminate(A: Matrix, n: Array) -> tuple[Matrix, None]:
        # State n is taken out: paths through it become steps between the states before it.
        before = (places < n).astype(A.dtype)
        row = jnp.take(A, n, axis=0) * before
        column = jnp.take(A, n, axis=1) * before / row.sum()
        return (A + column[:, None] * row[None]).at[:, n].set(column), None

    A, _ = jax.lax.scan(eliminate, transition, jnp.arange(k - 1, 0, -1))

    def put_back(weight: Vector, n: Array) -> tuple[Vector, None]:
        before = (places < n).astype(A.dtype)
        return weight.at[n].set(jnp.sum(weight * jnp.take(A, n, axis=1) * before)), None

    first = (places == 0).astype(transition.dtype)
    weight, _ = jax.lax.scan(put_back, first, jnp.arange(1, k))
    return weight / weight.sum()


def entropy_rate(transition: Matrix) -> Scalar:
    """H = −Σ_i π_i Σ_j P_ij log P_ij, in nats a step.

    Args:
      transition: P of an irreducible chain.
    """
    return jnp.sum(stationary(transition)[:, None] * jax.scipy.special.entr(transition))


def backwards(transition: Matrix) -> Matrix:
    """P(X_t = j | X_{t+1} = i) = π_j P_ji / π_i of the stationary chain; P itself if reversible.

    Args:
      transition: P of an irreducible chain.
    """
    weight = stationary(transition)
    return weight[None] * transition.T / weight[:, None]


def imbalance(transition: Matrix) -> Scalar:
    """max |π_i P_ij − π_j P_ji|: 0 if and only if the chain is reversible (detailed balance).

    Args:
      transition: P of an irreducible chain.
    """
    flow = stationary(transition)[:, None] * transition
    return jnp.abs(flow - flow.T).max()


class Absorption(NamedTuple):
    """How a chain ends.

    Attributes:
      probability: of ending in state j from state i; 0 for a j that does not absorb.
      steps: expected number of steps until then.
    """

    probability: Matrix
    steps: Vector


def absorption(transition: Matrix, absorbing: Bool[Array, "k"]) -> Absorption:
    """B = (I − Q)⁻¹R and (I − Q)⁻¹1, Q the steps among states that do not absorb, R the others.

    Args:
      transition: P; rows of absorbing states are not read.
      absorbing: True for states that the chain does not leave. It must be able to reach one from
        everywhere, otherwise results are infinite or NaN.

    Reference: Kemeny and Snell 1960, Finite Markov Chains, theorems 3.2.4 and 3.3.7.
    """
    stays = jnp.where(absorbing, 1.0, 0.0).astype(transition.dtype)
    moves = (1 - stays)[:, None] * transition
    inner = jnp.eye(len(stays), dtype=transition.dtype) - moves * (1 - stays)[None]
    ends = jnp.diag(stays) + moves * stays[None]
    both = jnp.linalg.solve(inner, jnp.concatenate([ends, (1 - stays)[:, None]], axis=1))
    return Absorption(both[:, :-1], both[:, -1])


def sample(log_initial: Vector, log_transition: Matrix, key: Key, n: int) -> Integer[Array, "{n}"]:
    """X_1 ~ π, X_{t+1} ~ P(· | X_t): a path of n states.

    Args:
      log_initial: logarithm of the law of the first state.
      log_transition: log P.
      key: for the draws.
      n: states of the path.

    Raises:
      ValueError: if n is not positive.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1, got {n}")

    def step(state: Array, i: Array) -> tuple[Array, Array]:
        row = jnp.take(log_transition, state, axis=0)
        state = jax.random.categorical(jax.random.fold_in(key, i), row).astype(jnp.int32)
        return state, state

    first = jax.random.categorical(jax.random.fold_in(key, 0), log_initial).astype(jnp.int32)
    _, later = jax.lax.scan(step, first, jnp.arange(1, n))
    return jnp.concatenate([first[None], later])


def log_prob(states: Integer[Array, "n"], log_initial: Vector, log_transition: Matrix) -> Scalar:
    """log P(X_1) + Σ log P(X_{t+1} | X_t) of a path, in nats.

    Args:
      states: X, numbers from 0.
      log_initial: logarithm of the law of the first state.
      log_transition: log P.
    """
    return log_initial[states[0]] + jnp.sum(log_transition[states[:-1], states[1:]])


def counts(states: Integer[Array, "n"], k: int) -> Float[Array, "{k} {k}"]:
    """How often a path goes from i to j; over the sums of rows, the maximum-likelihood P.

    Args:
      states: the path.
      k: how many states there are.
    """
    pairs = states[:-1] * k + states[1:]
    return jnp.bincount(pairs, length=k * k).reshape(k, k).astype(float)
