# SPDX-License-Identifier: Apache-2.0
"""Hidden Markov models forwards: what is known of a state from the observations up to it.

p(z, x) = π(z_1) Π P(z_{t+1} | z_t) Π p(x_t | z_t). Emissions of any kind enter as an array of
log p(x_t | z_t = k). One sequence; `vmap` makes it a batch, and masks make sequences of one length.

Probabilities are kept between 0 and 1 by a division at every step. A state that is less likely than
another by more than the range of the dtype (1e-38 in float32, 1e-308 in float64) counts as
impossible from there on.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxml.types import Scalar

Initial = Float[Array, "_"]
Transition = Float[Array, "*_ _ _"]
LogLikelihood = Float[Array, "t k"]
Probabilities = Float[Array, "t k"]
Mask = Bool[Array, "_"] | None


class Filtered(NamedTuple):
    """What is known of every state from the observations up to it.

    Attributes:
      log_evidence: log p(x) in nats; −inf if the observations are impossible.
      probabilities: p(z_t | x_1 … x_t); 0 from where the observations are impossible.
    """

    log_evidence: Scalar
    probabilities: Probabilities


def filtered(
    log_initial: Initial,
    log_transition: Transition,
    log_likelihood: LogLikelihood,
    *,
    mask: Mask = None,
) -> Filtered:
    """p(z_t | x_1 … x_t) ∝ p(x_t | z_t) Σ_{z_{t−1}} P(z_t | z_{t−1}) p(z_{t−1} | x_1 … x_{t−1}).

    Args:
      log_initial: log π, −inf where a state cannot be the first. Nothing need be normalized: then
        log p(x) is the logarithm of the sum over all paths.
      log_transition: log P, a row a state that is left; or one such matrix for each of the t − 1
        steps.
      log_likelihood: log p(x_t | z_t = k), a row a time.
      mask: False where nothing was observed, such as behind the end of a shorter sequence.

    Raises:
      ValueError: for shapes that do not fit.

    Reference: Rabiner 1989, equations 19 to 21 and 91 to 103, Proceedings of the IEEE 77(2), with
    the filter normalized.
    """
    potentials, shift = scaled(log_initial, log_transition, log_likelihood, mask)
    transition = jnp.exp(log_transition)

    def observed(predicted: Array, potential: Array) -> tuple[Array, Scalar]:
        joint = predicted * potential
        total = joint.sum()
        return joint / jnp.where(total > 0, total, 1), total

    def step(before: Array, place: tuple[Array, Array | None]) -> tuple:
        potential, matrix = place
        matrix = transition if matrix is None else matrix
        # Not a product of matrices, which a CPU would call anew for every few numbers.
        now, total = observed((before[:, None] * matrix).sum(0), potential)
        return now, (now, total)

    first, total = observed(jnp.exp(log_initial), potentials[0])
    places = potentials[1:], transition if transition.ndim == 3 else None
    _, (later, totals) = jax.lax.scan(step, first, places)
    found, totals = jnp.concatenate([first[None], later]), jnp.append(total, totals)
    possible = totals > 0
    logs = jnp.where(possible, jnp.log(jnp.where(possible, totals, 1)), -jnp.inf)
    return Filtered(logs.sum() + shift, found)


def log_evidence(
    log_initial: Initial,
    log_transition: Transition,
    log_likelihood: LogLikelihood,
    *,
    mask: Mask = None,
) -> Scalar:
    """log p(x) = log Σ_z p(x, z) in nats; see `filtered`.

    Its slopes are posterior expectations: in log p(x_t | k) those of z_t = k, in log P(j | i) the
    number of steps from i to j, in log π those of the first state.
    """
    return filtered(log_initial, log_transition, log_likelihood, mask=mask).log_evidence


def scaled(
    log_initial: Initial, log_transition: Transition, log_likelihood: LogLikelihood, mask: Mask
) -> tuple[Probabilities, Scalar]:
    """p(x_t | z_t) over its largest value at each time, and the sum of their logarithms.

    Args:
      log_initial: log π.
      log_transition: log P.
      log_likelihood: a row a time.
      mask: see `shown`.

    Raises:
      ValueError: for shapes that do not fit.
    """
    log_likelihood = shown(log_initial, log_transition, log_likelihood, mask)
    most = jax.lax.stop_gradient(log_likelihood.max(axis=1))
    most = jnp.where(jnp.isfinite(most), most, 0)
    return jnp.exp(log_likelihood - most[:, None]), most.sum()


def shown(
    log_initial: Initial, log_transition: Transition, log_likelihood: LogLikelihood, mask: Mask
) -> LogLikelihood:
    """log p(x_t | z_t), and 0 for every state where nothing was observed.

    Args:
      log_initial: log π.
      log_transition: log P.
      log_likelihood: a row a time.
      mask: False where nothing was observed.

    Raises:
      ValueError: for shapes that do not fit.
    """
    t, k = log_likelihood.shape
    if t < 1 or log_initial.shape != (k,):
        raise ValueError(
            f"log_initial, log_likelihood: expected k numbers and t ≥ 1 rows of k, got shapes "
            f"{log_initial.shape} and {log_likelihood.shape}"
        )
    if log_transition.shape not in ((k, k), (t - 1, k, k)):
        raise ValueError(
            f"log_transition: expected {(k, k)} or {(t - 1, k, k)}, got {log_transition.shape}"
        )
    if mask is None:
        return log_likelihood
    if mask.shape != (t,):
        raise ValueError(f"mask: expected shape {(t,)}, got {mask.shape}")
    return jnp.where(mask[:, None], log_likelihood, 0)
