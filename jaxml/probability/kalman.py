# SPDX-License-Identifier: Apache-2.0
"""Linear-Gaussian state space: z_1 ~ N(m, V), z_{t+1} = A z_t + N(0, Q), x_t = C z_t + N(0, R).

The hidden Markov model whose states are vectors: the Kalman filter goes forwards, the smoother of
Rauch, Tung and Striebel back. One sequence; `vmap` makes it a batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxml.probability.normal import LOG_2PI
from jaxml.types import Key, Scalar


class Model(NamedTuple):
    """What is known before anything is observed.

    Attributes:
      mean: m, of the first state.
      covariance: V, of the first state.
      transition: A.
      noise: Q, the covariance of what is added at each step; may be singular.
      emission: C.
      error: R, the covariance of what is added to each observation; positive definite.
    """

    mean: Float[Array, "k"]
    covariance: Float[Array, "k k"]
    transition: Float[Array, "k k"]
    noise: Float[Array, "k k"]
    emission: Float[Array, "d k"]
    error: Float[Array, "d d"]


class Filtered(NamedTuple):
    """What is known of every state from the observations up to it.

    Attributes:
      log_evidence: log p(x) in nats.
      mean: E[z_t | x_1 … x_t].
      covariance: of z_t given x_1 … x_t.
    """

    log_evidence: Scalar
    mean: Float[Array, "t k"]
    covariance: Float[Array, "t k k"]


class Smoothed(NamedTuple):
    """What is known of every state from all observations.

    Attributes:
      log_evidence: log p(x) in nats.
      mean: E[z_t | x].
      covariance: of z_t given x.
      cross: Cov(z_t, z_{t+1} | x), rows of z_t.
    """

    log_evidence: Scalar
    mean: Float[Array, "t k"]
    covariance: Float[Array, "t k k"]
    cross: Float[Array, "t_minus_1 k k"]


def filtered(
    model: Model, x: Float[Array, "t d"], *, mask: Bool[Array, "_ _"] | None = None
) -> Filtered:
    """p(z_t | x_1 … x_t), with covariances updated as (I − KC) P (I − KC)ᵀ + K R Kᵀ.

    That form (Joseph's) stays symmetric and positive where the shorter one loses both to rounding.

    Args:
      model: the model.
      x: observations.
      mask: False for numbers that were not observed: of a time, or behind a sequence's end.

    Raises:
      ValueError: for shapes that do not fit.

    Reference: Kalman 1960; Särkkä 2013, Bayesian Filtering and Smoothing, theorem 4.2.
    """
    d, k = model.emission.shape
    if x.shape[1] != d:
        raise ValueError(f"x: expected rows of {d} numbers, got {x.shape}")
    if mask is not None and mask.shape != x.shape:
        raise ValueError(f"mask: expected shape {x.shape}, got {mask.shape}")
    eye = jnp.eye(k, dtype=x.dtype)

    def step(predicted: tuple[Array, Array], place: tuple[Array, Array | None]) -> tuple:
        mean, covariance = predicted
        seen, shown = place
        emission, error, gap = model.emission, model.error, seen - model.emission @ mean
        missing = jnp.zeros((), x.dtype)
        if shown is not None:
            # What is missing is made an observation of 0 by pure noise of variance 1.
            emission = jnp.where(shown[:, None], emission, 0)
            both = shown[:, None] & shown[None]
            error = jnp.where(both, error, jnp.eye(d, dtype=x.dtype))
            gap = jnp.where(shown, gap, 0)
            missing = jnp.sum(~shown).astype(x.dtype)
        spread = emission @ covariance @ emission.T + error
        factor = jnp.linalg.cholesky(spread)
        gain = jax.scipy.linalg.cho_solve((factor, True), emission @ covariance).T
        white = jax.scipy.linalg.solve_triangular(factor, gap, lower=True)
        log_prob = -0.5 * (jnp.sum(white**2) + (d - missing) * LOG_2PI)
        log_prob = log_prob - jnp.sum(jnp.log(jnp.diagonal(factor)))
        kept = eye - gain @ emission
        mean = mean + gain @ gap
        covariance = kept @ covariance @ kept.T + gain @ error @ gain.T
        return _predicted(model, mean, covariance), (log_prob, mean, covariance)

    _, (log_probs, means, covariances) = jax.lax.scan(
        step, (model.mean, model.covariance), (x, mask)
    )
    return Filtered(log_probs.sum(), means, covariances)


def smoothed(
    model: Model, x: Float[Array, "t d"], *, mask: Bool[Array, "_ _"] | None = None
) -> Smoothed:
    """p(z_t | x), from the filter backwards.

    Args:
      model: the model; where Q is singular, A V Aᵀ + Q must not be.
      x: observations.
      mask: as for `filtered`.

    Reference: Rauch, Tung and Striebel 1965; Särkkä 2013, theorem 8.2.
    """
    evidence, means, covariances = filtered(model, x, mask=mask)

    def step(after: tuple[Array, Array], place: tuple[Array, Array]) -> tuple:
        mean, covariance = place
        ahead, spread = _predicted(model, mean, covariance)
        factor = jnp.linalg.cholesky(spread)
        gain = jax.scipy.linalg.cho_solve((factor, True), model.transition @ covariance).T
        mean = mean + gain @ (after[0] - ahead)
        less = after[1] - spread
        covariance = covariance + gain @ (0.5 * (less + less.T)) @ gain.T
        return (mean, covariance), (mean, covariance, gain @ after[1])

    last = means[-1], covariances[-1]
    _, (mean, covariance, cross) = jax.lax.scan(
        step, last, (means[:-1], covariances[:-1]), reverse=True
    )
    return Smoothed(
        evidence,
        jnp.concatenate([mean, means[-1:]]),
        jnp.concatenate([covariance, covariances[-1:]]),
        cross,
    )


def sample(model: Model, key: Key, t: int) -> tuple[Float[Array, "{t} k"], Float[Array, "{t} d"]]:
    """States and observations of a sequence.

    Args:
      model: the model.
      key: for the draws.
      t: how many.

    Raises:
      ValueError: if t is not positive.
    """
    if t < 1:
        raise ValueError(f"t: expected at least 1, got {t}")
    noise_key, error_key = jax.random.split(key)
    dtype = model.mean.dtype
    noise = jax.random.normal(noise_key, (t, len(model.mean)), dtype)
    error = jax.random.normal(error_key, (t, len(model.error)), dtype)
    first = model.mean + _root(model.covariance) @ noise[0]
    root = _root(model.noise)

    def step(z: Array, eps: Array) -> tuple[Array, Array]:
        z = model.transition @ z + root @ eps
        return z, z

    _, later = jax.lax.scan(step, first, noise[1:])
    z = jnp.concatenate([first[None], later])
    return z, z @ model.emission.T + error @ _root(model.error).T


def _predicted(model: Model, mean: Array, covariance: Array) -> tuple[Array, Array]:
    A = model.transition
    return A @ mean, A @ covariance @ A.T + model.noise


def _root(covariance: Array) -> Array:
    """A square root of a covariance that may be singular."""
    values, vectors = jnp.linalg.eigh(covariance)
    return vectors * jnp.sqrt(jnp.maximum(values, 0))[None]
