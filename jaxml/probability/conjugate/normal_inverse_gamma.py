# SPDX-License-Identifier: Apache-2.0
"""Draws x from N(μ, σ²), μ from N(m, σ²/κ) and σ² from the inverse gamma law of a and b.

p(σ²) ∝ (σ²)^−(a + 1) e^(−b/σ²). Each element by itself, in nats.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factorial import log_rising
from jaxml.probability.maximum_likelihood import Normal
from jaxml.probability.normal import LOG_2PI


class NormalInverseGamma(NamedTuple):
    """What is known of μ and σ².

    Attributes:
      mean: m.
      draws: κ > 0, how many draws m is worth.
      shape: a > 0, half of how many draws the variance b/a is worth.
      scale: b > 0.
    """

    mean: Float[Array, "*shape"]
    draws: Float[Array, "*shape"]
    shape: Float[Array, "*shape"]
    scale: Float[Array, "*shape"]


def posterior(law: NormalInverseGamma, x: Float[Array, "n *shape"]) -> NormalInverseGamma:
    """κ' = κ + n, m' = m + n (x̄ − m)/κ', a' = a + n/2, b' = b + ½ Σ (x − x̄)² + ½ κn (x̄ − m)²/κ'.

    Args:
      law: the prior; the posterior of earlier draws.
      x: draws; none leave the prior as it is.

    Reference: Murphy 2007, Conjugate Bayesian analysis of the Gaussian distribution, section 3.
    """
    n = len(x)
    if n == 0:
        return law
    draws = law.draws + n
    mean = law.mean + n * (jnp.mean(x, axis=0) - law.mean) / draws
    return NormalInverseGamma(mean, draws, law.shape + 0.5 * n, law.scale + _growth(law, x))


def log_predictive(law: NormalInverseGamma, x: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """Student's t with 2a degrees of freedom around m, of squared scale b(κ + 1)/(aκ).

    log Γ(a + ½)/Γ(a) − ½ log 2πs − (a + ½) log(1 + (x − m)²/2s) with s = b(κ + 1)/κ.

    Args:
      law: the prior or a posterior.
      x: where.
    """
    s = law.scale * (law.draws + 1) / law.draws
    constant = log_rising(law.shape, jnp.full_like(law.shape, 0.5)) - 0.5 * (LOG_2PI + jnp.log(s))
    return constant - (law.shape + 0.5) * jnp.log1p(0.5 * jnp.square(x - law.mean) / s)


def log_evidence(law: NormalInverseGamma, x: Float[Array, "n *shape"]) -> Float[Array, "*shape"]:
    """log Γ(a')/Γ(a) + a log b − a' log b' + ½ log κ/κ' − ½ n log 2π.

    Args:
      law: the prior.
      x: draws.
    """
    n = len(x)
    if n == 0:
        return jnp.zeros_like(law.scale)
    growth = _growth(law, x)  # b' − b, which a large b would have rounded
    of_scale = law.shape * jnp.log1p(growth / law.scale)
    of_scale = of_scale + 0.5 * n * (LOG_2PI + jnp.log(law.scale + growth))
    of_mean = 0.5 * jnp.log1p(n / law.draws)
    return log_rising(law.shape, jnp.full_like(law.shape, 0.5 * n)) - of_scale - of_mean


def maximum_a_posteriori(law: NormalInverseGamma) -> Normal:
    """The likeliest pair, μ = m and σ² = b/(a + 3/2); of σ² alone it is b/(a + 1).

    A mode is one of a density, and so of the parameters chosen: that of log σ² lies elsewhere.

    Args:
      law: the prior or a posterior.
    """
    return Normal(law.mean, law.scale / (law.shape + 1.5))


def _growth(law: NormalInverseGamma, x: Float[Array, "n *shape"]) -> Float[Array, "*shape"]:
    n, center = len(x), jnp.mean(x, axis=0)
    within = jnp.sum(jnp.square(x - center[None]), axis=0)
    between = law.draws * n / (law.draws + n) * jnp.square(center - law.mean)
    return 0.5 * (within + between)
