# SPDX-License-Identifier: Apache-2.0
"""−log p(y) of a number or a count, in nats: what is minimized to fit the parameters of p.

One value for each element. Normalizing constants are kept, so that values may be compared between
families. Logarithms of scales and rates are raw outputs of a network: they pass through `taper`,
which changes nothing between −40 and 40.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.numerics import widen_all
from jaxml.probability import laplace as laplace_distribution
from jaxml.probability import negative_binomial as negative_binomial_distribution
from jaxml.probability import normal as normal_distribution
from jaxml.probability import poisson as poisson_distribution


def normal(
    mean: Float[Array, "*#shape"],
    log_variance: Float[Array, "*#shape"],
    y: Shaped[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """½(log 2π + ℓ + (y − μ)² e^−ℓ), with variance e^ℓ learned for each element.

    Unbounded below as ℓ → −∞ at y = μ; `jaxml.losses.likelihood.normal` has a bounded ℓ.

    Args:
      mean: μ.
      log_variance: ℓ.
      y: data.

    Reference: Nix and Weigend 1994, Estimating the mean and variance of the target probability
    distribution, equation 2.
    """
    mean, log_variance, y = widen_all(mean, log_variance, y)
    return -normal_distribution.log_prob(y, mean, taper(log_variance))


def normal_with_variance(
    mean: Float[Array, "*#shape"], y: Shaped[Array, "*#shape"], *, variance: float = 1.0
) -> Float[Array, "*#shape"]:
    """½(log 2πσ² + (y − μ)²/σ²): squared error in nats.

    Args:
      mean: μ.
      y: data.
      variance: σ².

    Raises:
      ValueError: if the variance is not positive.
    """
    _expect_positive("variance", variance)
    mean, y = widen_all(mean, y)
    return -normal_distribution.log_prob(y, mean, jnp.full_like(mean, math.log(variance)))


def laplace(
    location: Float[Array, "*#shape"],
    log_scale: Float[Array, "*#shape"],
    y: Shaped[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """log 2 + s + |y − m| e^−s, with scale e^s learned for each element.

    Args:
      location: m.
      log_scale: s.
      y: data.
    """
    location, log_scale, y = widen_all(location, log_scale, y)
    return -laplace_distribution.log_prob(y, location, taper(log_scale))


def laplace_with_scale(
    location: Float[Array, "*#shape"], y: Shaped[Array, "*#shape"], *, scale: float = 1.0
) -> Float[Array, "*#shape"]:
    """log 2b + |y − m|/b: absolute error in nats, whose slope in m is never larger than 1/b.

    Args:
      location: m.
      y: data.
      scale: b.

    Raises:
      ValueError: if the scale is not positive.
    """
    _expect_positive("scale", scale)
    location, y = widen_all(location, y)
    return -laplace_distribution.log_prob(y, location, jnp.full_like(location, math.log(scale)))


def poisson(
    log_rate: Float[Array, "*#shape"], y: Shaped[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """e^η − yη + log y!, with slope e^η − y.

    Args:
      log_rate: η.
      y: counts; infinite where negative.
    """
    log_rate, y = widen_all(log_rate, y)
    return -poisson_distribution.log_prob(y, taper(log_rate))


def poisson_of_rate(
    rate: Float[Array, "*#shape"], y: Shaped[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """λ − y log λ + log y!, with slope 1 − y/λ.

    Args:
      rate: λ ≥ 0, as from a softplus: a count above 0 is impossible where it is 0, and infinite;
        NaN where it is negative.
      y: counts; infinite where negative.
    """
    rate, y = widen_all(rate, y)
    return -poisson_distribution.log_prob_of_rate(y, rate)


def negative_binomial(
    log_mean: Float[Array, "*#shape"],
    log_shape: Float[Array, "*#shape"],
    y: Shaped[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """−log [Γ(y + r)/(Γ(r) y!) (r/(r + μ))^r (μ/(r + μ))^y]: counts of variance μ + μ²/r.

    Args:
      log_mean: log μ.
      log_shape: log r; the larger, the nearer to `poisson`.
      y: counts; infinite where negative.
    """
    log_mean, log_shape, y = widen_all(log_mean, log_shape, y)
    return -negative_binomial_distribution.log_prob(y, taper(log_mean), taper(log_shape))


def taper(x: Float[Array, "*shape"], knee: float = 40.0) -> Float[Array, "*shape"]:
    """x inside ±c; beyond, ±(c + log(1 + d + d²/2)) with d = |x| − c: e^x grows like d² there.

    The logarithm of a scale or a rate, exact wherever such a number means anything and harmless
    outside: at 1e4 it is 57.7, and e^57.7 leaves float32 room for the square of 1e4. Unlike a clip
    it leaves the gradient a way back, and unlike `soft_clip` it changes nothing inside. Smooth to
    second order at the knee; infinities stay infinite.

    Args:
      x: a logarithm.
      knee: c.
    """
    d = jnp.maximum(jnp.abs(x) - knee, 0)
    beyond = jnp.sign(x) * (knee + jnp.log1p(d + 0.5 * jnp.square(d)))
    return jnp.where(d > 0, beyond, x)


def _expect_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: expected a positive number, got {value}")
