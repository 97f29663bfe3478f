# SPDX-License-Identifier: Apache-2.0
"""The same probabilities in logarithmically many steps, for accelerators.

The product of any piece of the chain is a matrix, and products of pieces can be taken in any
grouping. It costs k times the arithmetic of the loop; on a CPU the loop is faster by far.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.hmm.backward import Posterior
from jaxml.probability.hmm.forward import (
    Initial,
    LogLikelihood,
    Mask,
    Transition,
    scaled,
)


class Piece(NamedTuple):
    """The weight of going from one state to another along a piece of the chain.

    Attributes:
      matrix: over its largest number.
      log_scale: logarithm of what it was divided by.
    """

    matrix: Float[Array, "*batch k k"]
    log_scale: Float[Array, "*batch"]


def parallel_posterior(
    log_initial: Initial,
    log_transition: Transition,
    log_likelihood: LogLikelihood,
    *,
    mask: Mask = None,
) -> Posterior:
    """As `posterior`, by two associative scans.

    Args:
      log_initial: as for `filtered`.
      log_transition: as for `filtered`.
      log_likelihood: as for `filtered`.
      mask: as for `filtered`.

    Reference: Hassan, Särkkä and García-Fernández 2021, Temporal parallelization of inference in
    hidden Markov models, sections III and IV, IEEE Transactions on Signal Processing 69.
    """
    potentials, shift = scaled(log_initial, log_transition, log_likelihood, mask)
    t, k = potentials.shape
    transition = jnp.exp(log_transition)
    steps = jnp.broadcast_to(transition, (t - 1, k, k))
    # The first piece forgets where it comes from: all of its rows are alike.
    first = jnp.broadcast_to(jnp.exp(log_initial) * potentials[0], (1, k, k))
    pieces = jnp.concatenate([first, steps * potentials[1:, None]])
    forth = jax.lax.associative_scan(joined, normalized(pieces))
    weight = forth.matrix[:, 0]
    found, totals = shares(weight)
    last = totals[-1]
    possible = last > 0
    evidence = jnp.log(jnp.where(possible, last, 1)) + forth.log_scale[-1] + shift
    evidence = jnp.where(possible, evidence, -jnp.inf)

    back = jax.lax.associative_scan(
        lambda after, before: joined(before, after), normalized(pieces[1:]), reverse=True
    )
    ahead = jnp.concatenate([back.matrix.sum(-1), jnp.ones((1, k), weight.dtype)])
    smoothed, _ = shares(found * ahead)
    predicted = jnp.einsum("ti,tij->tj", found[:-1], steps)
    reached = predicted > 0
    ratio = jnp.where(reached, smoothed[1:] / jnp.where(reached, predicted, 1), 0)
    return Posterior(evidence, found, smoothed, ratio)


def normalized(matrix: Float[Array, "*batch k k"]) -> Piece:
    """A piece of its weights."""
    most = matrix.max((-2, -1))
    most = jnp.where(most > 0, most, 1)
    return Piece(matrix / most[..., None, None], jnp.log(most))


def joined(a: Piece, b: Piece) -> Piece:
    """One piece and then the other."""
    both = normalized(a.matrix @ b.matrix)
    return both._replace(log_scale=both.log_scale + a.log_scale + b.log_scale)


def shares(
    weight: Float[Array, "t k"],
) -> tuple[Float[Array, "t k"], Float[Array, "t"]]:
    """Rows over their sums, and the sums; rows of zeros stay."""
    total = weight.sum(1)
    return weight / jnp.where(total > 0, total, 1)[:, None], total
