# SPDX-License-Identifier: Apache-2.0
"""The gamma distribution with shape a and rate b; one value for each element, in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factorial import (
    deviance,
    deviance_of_log,
    log_quotient,
    remainder_divergence,
    stirling_remainder,
    stirling_slope,
)
from jaxml.types import Key


def log_prob(
    x: Float[Array, "*#shape"], shape: Float[Array, "*#shape"], rate: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log p(x) = a log b + (a − 1) log x − bx − log Γ(a); −inf for x < 0.

    Computed as log a/x − deviance(a, bx) − `stirling_remainder`(a), where nothing large cancels.
    At 0 the density is infinite for a < 1, b for a = 1, and 0 for a > 1.

    Args:
      x: where.
      shape: a > 0. It is not taken as log a, because at large a rounding log a moves the mean by
        more than rounding a.
      rate: b > 0, the inverse of the scale.

    Reference: Loader 2000, Fast and accurate computation of binomial probabilities, section 2.
    """
    x, shape, rate = jnp.broadcast_arrays(x, shape, rate)
    outside = (x < 0) | (x == jnp.inf)
    inside = jnp.where(outside | (x == 0), 1, x)
    value = _value(inside, jnp.log(inside), shape, rate, log_quotient(shape, inside))
    value = jnp.where(x == 0, _at_zero(jnp.where(x == 0, x, 0), shape, rate), value)
    return jnp.where(outside, -jnp.inf, value)


def log_prob_of_log(
    log_x: Float[Array, "*#shape"], shape: Float[Array, "*#shape"], rate: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log p(x) from log x, for x that would underflow; the density of log x is log x more.

    Args:
      log_x: log of where; −∞ is 0.
      shape: a > 0.
      rate: b > 0.
    """
    log_x, shape, rate = jnp.broadcast_arrays(log_x, shape, rate)
    zero = log_x == -jnp.inf
    outside = log_x == jnp.inf
    inside = jnp.where(zero | outside, 0, log_x)
    value = _value(jnp.exp(inside), inside, shape, rate, jnp.log(shape) - inside)
    value = jnp.where(zero, _at_zero(jnp.zeros_like(log_x), shape, rate), value)
    return jnp.where(outside, -jnp.inf, value)


def mean(shape: Float[Array, "*#shape"], rate: Float[Array, "*#shape"]) -> Array:
    """E x = a/b."""
    return shape / rate


def variance(shape: Float[Array, "*#shape"], rate: Float[Array, "*#shape"]) -> Array:
    """E(x − a/b)² = a/b²."""
    return shape / rate / rate


def sample(
    shape: Float[Array, "*#shape"], rate: Float[Array, "*#shape"], key: Key
) -> Float[Array, "*#shape"]:
    """A draw, with slopes in a and b; 0 where it underflows, as most draws do for a ≪ 0.01."""
    draw, less = _draw(jnp.broadcast_to(shape, jnp.broadcast_shapes(shape.shape, rate.shape)), key)
    return draw * jnp.exp(-less) / rate


def sample_log(
    shape: Float[Array, "*#shape"], rate: Float[Array, "*#shape"], key: Key
) -> Float[Array, "*#shape"]:
    """log of the draw that `sample` makes with the same key, finite for tiny shapes too."""
    draw, less = _draw(jnp.broadcast_to(shape, jnp.broadcast_shapes(shape.shape, rate.shape)), key)
    return jnp.log(draw) - less - jnp.log(rate)


def entropy(shape: Float[Array, "*#shape"], rate: Float[Array, "*#shape"]) -> Array:
    """H = a − log b + log Γ(a) + (1 − a) ψ(a), with what cancels left out."""
    left = stirling_remainder(shape) + (1 - shape) * stirling_slope(shape)
    return left + (1 - 1 / shape) - jnp.log(rate)


def kl_divergence(
    shape: Float[Array, "*#shape"],
    rate: Float[Array, "*#shape"],
    other_shape: Float[Array, "*#shape"],
    other_rate: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """KL(Γ(a, b) ‖ Γ(c, d)) = log Γ(c)/Γ(a) + (a − c) ψ(a) + c log b/d + a(d − b)/b.

    As a sum of two terms that are not negative: deviance(c, ad/b) + `remainder_divergence`(c, a).
    """
    apart = deviance(other_shape, shape / rate * other_rate)
    return apart + remainder_divergence(other_shape, shape)


def _value(
    x: Float[Array, "*shape"],
    log_x: Float[Array, "*shape"],
    shape: Float[Array, "*shape"],
    rate: Float[Array, "*shape"],
    log_shape_over_x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """As in `log_prob`; far below the mean as (a − 1) log(bx/a) + a − bx + log b, for a near 1."""
    m, log_m = rate * x, jnp.log(rate) + log_x
    value = log_shape_over_x - deviance_of_log(shape, m, log_m)
    far = (shape > 0.5) & (log_m < jnp.log(shape) - 1)
    log_ratio = jnp.where(far, log_m - jnp.log(shape), 0)
    below = (shape - 1) * log_ratio + (shape - m) + jnp.log(rate)
    return jnp.where(far, below, value) - stirling_remainder(shape)


def _at_zero(
    x: Float[Array, "*shape"], shape: Float[Array, "*shape"], rate: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    edge = jnp.where(shape < 1, jnp.inf, jnp.where(shape > 1, -jnp.inf, jnp.nan))
    return jnp.where(shape == 1, jnp.log(rate) - rate * x, edge)


def _draw(shape: Float[Array, "*shape"], key: Key) -> tuple[Array, Array]:
    """G and E/a, such that G e^(−E/a) is the draw: for a < 1 a draw of shape a + 1 times U^(1/a).

    Reference: Marsaglia and Tsang 2000, A simple method for generating gamma variables.
    """
    gamma_key, power_key = jax.random.split(key)
    small = shape < 1
    larger = jnp.where(small, shape + 1, shape)
    draw = jax.random.gamma(gamma_key, jax.lax.stop_gradient(larger), dtype=shape.dtype)
    power = jax.random.exponential(power_key, shape.shape, shape.dtype)
    return _with_slope(draw, larger), jnp.where(small, power / jnp.where(small, shape, 1), 0)


@jax.custom_jvp
def _with_slope(x: Float[Array, "*shape"], shape: Float[Array, "*shape"]) -> Array:
    """x; its slope in a is that of the quantile, −∂P(x; a)/∂a/p(x; a).

    From a = 10⁴ on it is that of a(1 − 1/9a + z/3√a)³, because XLA's loses its digits.

    Reference: Figurnov et al. 2018, arXiv:1805.08498, section 3; Wilson and Hilferty 1931.
    """
    del shape
    return x


@_with_slope.defjvp
def _with_slope_jvp(primals, tangents):
    (x, shape), (dx, da) = primals, tangents
    large = shape > 1e4
    few, root = jnp.where(large, 1, shape), jnp.cbrt(jnp.where(large, x / shape, 1))
    at = jnp.where(large, 1, x)
    exact = jax.lax.random_gamma_grad(few, at)  # pyright: ignore[reportCallIssue]
    close = root * root * (1.5 - 0.5 * root + 1 / (6 * jnp.where(large, shape, 1)))
    return x, dx + jnp.where(large, close, exact) * da
