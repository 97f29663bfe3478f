# SPDX-License-Identifier: Apache-2.0
"""Draws x from N(μ, Σ), μ from N(m, Σ/κ) and Σ from the inverse Wishart law of ν and Ψ; in nats.

p(Σ) ∝ |Σ|^−(ν + d + 1)/2 e^(−½ tr ΨΣ⁻¹). With d = 1 it is the normal-inverse-gamma law of a = ν/2
and b = Ψ/2.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factorial import log_rising
from jaxml.probability.maximum_likelihood import MultivariateNormal
from jaxml.types import Scalar


class NormalInverseWishart(NamedTuple):
    """What is known of μ and Σ.

    Attributes:
      mean: m.
      draws: κ > 0, how many draws m is worth.
      freedom: ν > d − 1.
      scale: Ψ, symmetric and positive definite.
    """

    mean: Float[Array, "d"]
    draws: Scalar
    freedom: Scalar
    scale: Float[Array, "d d"]


def posterior(law: NormalInverseWishart, x: Float[Array, "n d"]) -> NormalInverseWishart:
    """κ' = κ + n, m' = m + n (x̄ − m)/κ', ν' = ν + n, Ψ' = Ψ + S + κn (x̄ − m)(x̄ − m)ᵀ/κ'.

    Args:
      law: the prior; the posterior of earlier draws.
      x: draws, whose scatter around their mean x̄ is S; none leave the prior as it is.

    Reference: Murphy 2007, Conjugate Bayesian analysis of the Gaussian distribution, section 9.
    """
    n = len(x)
    if n == 0:
        return law
    center = jnp.mean(x, axis=0)
    gap, count = center - law.mean, law.draws + n
    within = x - center[None]
    between = law.draws * n / count * jnp.outer(gap, gap)
    scale = law.scale + within.T @ within + between
    return NormalInverseWishart(law.mean + n * gap / count, count, law.freedom + n, scale)


def log_predictive(law: NormalInverseWishart, x: Float[Array, "d"]) -> Scalar:
    """Student's t in d dimensions with f = ν − d + 1 around m, of scale Ψ(κ + 1)/(κf).

    Args:
      law: the prior or a posterior.
      x: where.
    """
    return log_evidence(law, x[None])


def log_evidence(law: NormalInverseWishart, x: Float[Array, "n d"]) -> Scalar:
    """Σ_j log Γ((ν' − j)/2)/Γ((ν − j)/2) + ½(ν log|Ψ| − ν' log|Ψ'| + d log κ/κ' − nd log π), j < d.

    Args:
      law: the prior.
      x: draws.
    """
    n, d = x.shape
    if n == 0:
        return jnp.zeros_like(law.freedom)
    factor = jnp.linalg.cholesky(law.scale)
    log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
    # |Ψ'|/|Ψ| = |I + ΔᵀΔ|, Δ the draws and the gap of means in Ψ's own coordinates: large Ψ and ν
    # would otherwise take the digits of ν (log|Ψ| − log|Ψ'|).
    center = jnp.mean(x, axis=0)
    gap = (center - law.mean) * jnp.sqrt(law.draws * n / (law.draws + n))
    change = jnp.concatenate([x - center[None], gap[None]])
    white = jax.scipy.linalg.solve_triangular(factor, change.T, lower=True)
    growth = _log_det_of_more(white @ white.T)
    start = 0.5 * (law.freedom - jnp.arange(d, dtype=x.dtype))
    shapes = jnp.sum(log_rising(start, jnp.full_like(start, 0.5 * n)))
    of_scale = 0.5 * (law.freedom * growth + n * (log_det + growth))
    of_mean = 0.5 * d * jnp.log1p(n / law.draws)
    return shapes - of_scale - of_mean - 0.5 * n * d * math.log(math.pi)


def maximum_a_posteriori(law: NormalInverseWishart) -> MultivariateNormal:
    """The likeliest pair, μ = m and Σ = Ψ/(ν + d + 2); of Σ alone it is Ψ/(ν + d + 1).

    Args:
      law: the prior or a posterior.
    """
    d = len(law.mean)
    return MultivariateNormal(law.mean, law.scale / (law.freedom + d + 2))


def _log_det_of_more(a: Float[Array, "d d"]) -> Scalar:
    """log|I + A| for A ≥ 0, as Σ log(1 + pivot): a small A keeps its digits."""

    def eliminate(rest: Array, j: Array) -> tuple[Array, Array]:
        column = rest[:, j]
        pivot = column[j]
        return rest - jnp.outer(column, column) / (1 + pivot), pivot

    return jnp.sum(jnp.log1p(jax.lax.scan(eliminate, a, jnp.arange(len(a)))[1]))
