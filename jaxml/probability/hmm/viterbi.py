# SPDX-License-Identifier: Apache-2.0
"""The likeliest path of a hidden Markov model."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Integer

from jaxml.probability.hmm.forward import Initial, LogLikelihood, Mask, Transition, shown
from jaxml.types import Scalar


class Path(NamedTuple):
    """A path and how likely it is.

    Attributes:
      states: z_1 … z_t.
      log_prob: log p(x, z) in nats; −inf if the observations are impossible, and then the states
        mean nothing.
    """

    states: Integer[Array, "t"]
    log_prob: Scalar


def viterbi(
    log_initial: Initial,
    log_transition: Transition,
    log_likelihood: LogLikelihood,
    *,
    mask: Mask = None,
) -> Path:
    """argmax_z p(z, x); of equally likely paths one with the smaller numbers at the end.

    Forwards only the maxima are kept; on the way back the best state before the one that is chosen
    is found among k, where pointers for all would take k² comparisons with places.

    Args:
      log_initial: as for `filtered`.
      log_transition: as for `filtered`.
      log_likelihood: as for `filtered`.
      mask: as for `filtered`; the path goes on where nothing was observed.

    Reference: Viterbi 1967; Rabiner 1989, equations 30 to 35.
    """
    log_likelihood = shown(log_initial, log_transition, log_likelihood, mask)
    each = log_transition.ndim == 3

    def forth(best: Array, place: tuple[Array, Array | None]) -> tuple[Array, Array]:
        seen, matrix = place
        matrix = log_transition if matrix is None else matrix
        after = (best[:, None] + matrix).max(axis=0) + seen
        return after, best

    def back(state: Array, place: tuple[Array, Array | None]) -> tuple[Array, Array]:
        best, matrix = place
        matrix = log_transition if matrix is None else matrix
        before = jnp.argmax(best + jnp.take(matrix, state, axis=1)).astype(jnp.int32)
        return before, before

    matrices = log_transition if each else None
    first = log_initial + log_likelihood[0]
    last, bests = jax.lax.scan(forth, first, (log_likelihood[1:], matrices))
    end = jnp.argmax(last).astype(jnp.int32)
    _, states = jax.lax.scan(back, end, (bests, matrices), reverse=True)
    return Path(jnp.append(states, end), last.max())
