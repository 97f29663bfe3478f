# SPDX-License-Identifier: Apache-2.0
"""The von Mises distribution of angles, with mean direction m and concentration κ; in nats."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import i0e, i1e
from jaxtyping import Array, Float

from jaxml.probability.normal import LOG_2PI
from jaxml.types import Key


def log_prob(
    x: Float[Array, "*#shape"],
    location: Float[Array, "*#shape"],
    concentration: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """log p(x) = κ(cos(x − m) − 1) − log 2π e^−κ I₀(κ), as −2κ sin²((x − m)/2) − ...

    It has period 2π and integrates to 1 over any period.

    Args:
      x: an angle in radians, any real number.
      location: m.
      concentration: κ ≥ 0; 0 is the uniform law, and large κ are near N(m, 1/κ).

    Reference: Mardia and Jupp 2000, Directional Statistics, section 3.5.4.
    """
    apart = 2 * concentration * jnp.square(jnp.sin(0.5 * (x - location)))
    return -apart - LOG_2PI - _log_i0e(concentration)


def mean_resultant_length(concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """A(κ) = E cos(x − m) = I₁(κ)/I₀(κ): the first moment E e^ix is A(κ) e^im."""
    small = concentration < 1
    near = i1e(jnp.where(small, concentration, 0)) / i0e(jnp.where(small, concentration, 0))
    return jnp.where(small, near, 1 - variance(concentration))


def variance(concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1 − A(κ), the circular variance, with digits at large κ, where it is 1/2κ + 1/8κ² + ...

    Reference: Mardia and Jupp 2000, Directional Statistics, section 3.5.4.
    """
    far = concentration > (50 if jnp.finfo(concentration.dtype).bits == 64 else 10)
    near = jnp.where(far, 0, concentration)
    inverse, series = 1 / jnp.where(far, concentration, 50), jnp.zeros_like(concentration)
    for coefficient in reversed(_SERIES):
        series = (series + coefficient) * inverse
    return jnp.where(far, series, (i0e(near) - i1e(near)) / i0e(near))


def sample(
    location: Float[Array, "*#shape"], concentration: Float[Array, "*#shape"], key: Key
) -> Float[Array, "*#shape"]:
    """A draw within π of m, not wrapped any further, with slopes in m and κ."""
    concentration = jnp.broadcast_to(
        concentration, jnp.broadcast_shapes(location.shape, concentration.shape)
    )
    return location + _with_slope(_draw(jax.lax.stop_gradient(concentration), key), concentration)


def entropy(concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """H = log 2π I₀(κ) − κ A(κ), as log 2π e^−κ I₀(κ) + κ(1 − A(κ))."""
    return LOG_2PI + _log_i0e(concentration) + concentration * variance(concentration)


def kl_divergence(
    location: Float[Array, "*#shape"],
    concentration: Float[Array, "*#shape"],
    other_location: Float[Array, "*#shape"],
    other_concentration: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """KL(m, κ ‖ n, λ) = log I₀(λ)/I₀(κ) + A(κ)(κ − λ cos(m − n)).

    As (λ − κ)(1 − A) + 2λA sin²((m − n)/2) + log e^(κ − λ) I₀(λ)/I₀(κ).
    """
    turned = 2 * jnp.square(jnp.sin(0.5 * (location - other_location)))
    spread = (other_concentration - concentration) * variance(concentration)
    norms = _log_i0e(other_concentration) - _log_i0e(concentration)
    return spread + norms + other_concentration * mean_resultant_length(concentration) * turned


def _coefficients(n: int) -> list[float]:
    """Those of 1/κ, ..., 1/κⁿ in B = 1 − A, which solves B′ = (1 − B)/κ − 2B + B²."""
    c = [0.0, 0.5]
    for k in range(2, n + 1):
        c.append(0.5 * ((k - 2) * c[k - 1] + sum(c[i] * c[k - i] for i in range(1, k))))
    return c[1:]


_SERIES = _coefficients(14)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


@jax.custom_jvp
def _log_i0e(concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log e^−κ I₀(κ), with slope A(κ) − 1; NaN for κ < 0."""
    return jnp.where(concentration < 0, jnp.nan, jnp.log(i0e(concentration)))


@_log_i0e.defjvp
def _log_i0e_jvp(primals, tangents):
    (k,), (dk,) = primals, tangents
    return _log_i0e(k), -variance(k) * dk


def _draw(concentration: Float[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
    """x − m, by rejection from the wrapped Cauchy distribution; two of three are kept at least.

    With q = 1/(2κ + √(1 + 4κ²)) a proposal is θ = 2 atan(√q tan φ), φ uniform over a half turn, and
    kept with probability c e^(1−c), c = ½(1 + q) + 2κ sin²(θ/2): the paper's without the
    differences that cancel at κ → 0 and κ → ∞.

    Reference: Best and Fisher 1979, Efficient simulation of the von Mises distribution.
    """
    concentration = jnp.where(concentration < 0, jnp.nan, concentration)
    q = 1 / (2 * concentration + jnp.hypot(jnp.ones_like(concentration), 2 * concentration))

    def propose(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        angle, kept, key = state
        key, place_key, keep_key = jax.random.split(key, 3)
        u = jax.random.uniform(place_key, q.shape, q.dtype)
        t = jnp.tan(math.pi * (u - 0.5))
        c = 0.5 * (1 + q) + 2 * concentration * q * (t * t / (1 + q * t * t))
        keep = ~(jax.random.uniform(keep_key, q.shape, q.dtype) > c * jnp.exp(1 - c))  # or NaN
        proposed = 2 * jnp.arctan(jnp.sqrt(q) * t)
        return jnp.where(kept, angle, proposed), kept | keep, key

    none = jnp.zeros(q.shape, bool)
    return jax.lax.while_loop(lambda s: ~jnp.all(s[1]), propose, (q, none, key))[0]


@jax.custom_jvp
def _with_slope(angle: Float[Array, "*shape"], concentration: Float[Array, "*shape"]) -> Array:
    """θ; its slope in κ is that of the quantile, −∫₀^θ (cos t − A) e^(κ(cos t − cos θ)) dt.

    Reference: Figurnov et al. 2018, arXiv:1805.08498, section 3.
    """
    del concentration
    return angle


@_with_slope.defjvp
def _with_slope_jvp(primals, tangents):
    (angle, k), (d_angle, dk) = primals, tangents
    nodes, weights = (jnp.asarray(v, angle.dtype) for v in (_NODES, _WEIGHTS))
    nodes, weights = (v.reshape((32,) + (1,) * angle.ndim) for v in (nodes, weights))
    t = 0.5 * angle[None] * (nodes + 1)
    less = 2 * jnp.square(jnp.sin(0.5 * t))  # 1 − cos t
    lift = jnp.exp(k[None] * (2 * jnp.square(jnp.sin(0.5 * angle))[None] - less))
    slope = -0.5 * angle * jnp.sum(weights * (variance(k)[None] - less) * lift, axis=0)
    return angle, d_angle + slope * dk
