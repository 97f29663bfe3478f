# SPDX-License-Identifier: Apache-2.0
"""Data whose denoiser is known exactly: Gaussians and their mixtures, to test what is built on it.

If x_0 is of N(m_k, S_k) with probability w_k, then x_t = α x_0 + σ ε is of N(α m_k, α² S_k + σ² I),
and every expectation is a finite sum.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.grid import Points
from jaxml.diffusion.noise import Noise
from jaxml.diffusion.parameterization import Clean
from jaxml.diffusion.solver import Denoise, Event
from jaxml.numerics import log_ndtr, logsumexp

Path = Callable[[Event, Noise, Noise], Event]
"""`(x, first, last) -> x`: where the probability flow leads from one noise to another."""


def gaussian_denoiser(mean: Float[Array, " d"], covariance: Float[Array, "d d"]) -> Denoise:
    """E[x_0 | x_t] = m + α S (α² S + σ² I)⁻¹ (x_t − α m), and the ε that makes x_t with it.

    Args:
      mean: m.
      covariance: S; may be singular where σ > 0.
    """
    return mixture_denoiser(jnp.ones_like(mean[:1]), mean[None], covariance[None])


def mixture_denoiser(
    weights: Float[Array, " k"], means: Float[Array, "k d"], covariances: Float[Array, "k d d"]
) -> Denoise:
    """E[x_0 | x_t] = Σ_k r_k E[x_0 | x_t, k], r_k the probability of the component, given x_t.

    It takes x of any number of rows, and one noise or one a row. The score is −ε/σ.

    Args:
      weights: w, with sum 1.
      means: m_k.
      covariances: S_k; may be singular where σ > 0.
    """
    look = _components(weights, means, covariances)

    def denoise(x: Float[Array, "*batch d"], point: Points) -> Clean:
        found = look(x, point.noise)
        share = jnp.exp(found.log_joint - logsumexp(found.log_joint, axis=-1, keepdims=True))
        return Clean(*(jnp.einsum("...k,...kd->...d", share, a) for a in (found.x0, found.eps)))

    return denoise


def mixture_log_prob(
    weights: Float[Array, " k"], means: Float[Array, "k d"], covariances: Float[Array, "k d d"]
) -> Callable[[Event, Points], Array]:
    """`(x, point) -> log q(x_t)`, whose gradient is the score −ε/σ of `mixture_denoiser`; in nats.

    Args:
      weights: w, with sum 1.
      means: m_k.
      covariances: S_k.
    """
    look = _components(weights, means, covariances)

    def log_prob(x: Float[Array, "*batch d"], point: Points) -> Float[Array, "*batch"]:
        return logsumexp(look(x, point.noise).log_joint, axis=-1)

    return log_prob


def gaussian_path(mean: Float[Array, " d"], covariance: Float[Array, "d d"]) -> Path:
    """x_s = α_s m + √((α_s² S + σ_s² I)(α_t² S + σ_t² I)⁻¹) (x_t − α_t m).

    Args:
      mean: m.
      covariance: S.
    """
    values, vectors = jnp.linalg.eigh(covariance)

    def path(x: Float[Array, "*batch d"], first: Noise, last: Noise) -> Float[Array, "*batch d"]:
        of = [jnp.square(n.alpha) * values + jnp.square(n.sigma) for n in (first, last)]
        like = (1,) * (x.ndim - 1) + mean.shape
        centred = jnp.einsum(
            "...d,de->...e", x - first.alpha * mean.reshape(like), vectors, precision="highest"
        )
        centred = centred * jnp.sqrt(of[1] / of[0]).reshape(like)
        out = jnp.einsum("...e,de->...d", centred, vectors, precision="highest")
        return last.alpha * mean.reshape(like) + out

    return path


def mixture_path(
    weights: Float[Array, " k"], means: Float[Array, " k"], variances: Float[Array, " k"]
) -> Path:
    """x_s = F_s⁻¹(F_t(x_t)) in one dimension, where a flow that keeps laws keeps every quantile.

    F is the distribution function of the mixture; it is inverted by bisection of its log-odds,
    which have their digits in both tails.

    Args:
      weights: w, with sum 1.
      means: m_k.
      variances: S_k.
    """

    def places(x: Event, noise: Noise) -> Array:
        """(x − α m_k)/√(α² S_k + σ²), with one more axis."""
        scale = jnp.sqrt(jnp.square(noise.alpha) * variances + jnp.square(noise.sigma))
        like = (1,) * x.ndim + means.shape
        return (x[..., None] - (noise.alpha * means).reshape(like)) / scale.reshape(like)

    def odds(x: Event, noise: Noise) -> Event:
        u, log_w = places(x, noise), jnp.log(weights).reshape((1,) * x.ndim + weights.shape)
        return logsumexp(log_w + log_ndtr(u), axis=-1) - logsumexp(log_w + log_ndtr(-u), axis=-1)

    def path(x: Float[Array, "*batch"], first: Noise, last: Noise) -> Float[Array, "*batch"]:
        wanted, u = odds(x, first), places(x, first)
        scale = jnp.sqrt(jnp.square(last.alpha) * variances + jnp.square(last.sigma))
        # The quantile lies between those of the components, whose own lie between these.
        low = jnp.min(last.alpha * means + scale * jnp.min(u))
        high = jnp.max(last.alpha * means + scale * jnp.max(u))

        def halve(_, ends):
            middle = 0.5 * (ends[0] + ends[1])
            below = odds(middle, last) < wanted
            return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

        ends = (jnp.full_like(x, low), jnp.full_like(x, high))
        ends = jax.lax.fori_loop(0, jnp.finfo(x.dtype).nmant + 10, halve, ends)
        return 0.5 * (ends[0] + ends[1])

    return path


class _Components(NamedTuple):
    """For each component log w_k q_k(x_t), E[x_0 | x_t, k] and E[ε | x_t, k]."""

    log_joint: Array
    x0: Array
    eps: Array


def _components(
    weights: Array, means: Array, covariances: Array
) -> Callable[[Event, Noise], _Components]:
    values, vectors = jnp.linalg.eigh(covariances)
    values = jnp.maximum(values, 0.0)

    def look(x: Event, noise: Noise) -> _Components:
        x = x[..., None, :]
        alpha, sigma, _ = noise.over(x)

        def like(a: Array, ndim: int = x.ndim) -> Array:
            return a.reshape((1,) * (ndim - a.ndim) + a.shape)

        def turned(a: Array, spelled: str) -> Array:
            return jnp.einsum(spelled, a, vectors, precision="highest")

        total = jnp.square(alpha) * like(values) + jnp.square(sigma)
        centred = turned(x - alpha * like(means), "...kd,kde->...ke")
        weighed = centred / total
        square = jnp.sum(centred * weighed + jnp.log(2 * jnp.pi * total), axis=-1)
        return _Components(
            like(jnp.log(weights), x.ndim - 1) - 0.5 * square,
            like(means) + alpha * turned(like(values) * weighed, "...ke,kde->...kd"),
            sigma * turned(weighed, "...ke,kde->...kd"),
        )

    return look
