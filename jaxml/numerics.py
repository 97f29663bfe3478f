# SPDX-License-Identifier: Apache-2.0
"""Elementary functions that stay finite, values and gradients alike."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Bool, Float, Shaped

from jaxml.types import Scalar


class FloatFormat(NamedTuple):
    """How many bits a binary floating-point number spends on exponent and fraction."""

    exponent_bits: int
    fraction_bits: int


FLOAT_FORMAT: Mapping[str, FloatFormat] = MappingProxyType(
    {
        "float64": FloatFormat(11, 52),
        "float32": FloatFormat(8, 23),
        "tf32": FloatFormat(8, 10),  # float32's range, float16's fraction: 19 bits with the sign
        "bfloat16": FloatFormat(8, 7),
        "float16": FloatFormat(5, 10),
    }
)
"""The formats of numbers and of the multiplications inside accelerators."""


def exp_range(kind: FloatFormat) -> tuple[float, float]:
    """[(2 − 2^(e−1)) ln 2, log max], max = (1 − 2^−(f+1)) 2^(2^(e−1)): where e^x is normal.

    Above, e^x is infinite: in float64 from 1024 ln 2 = 709.78, in float32, bfloat16 and TF32 from
    128 ln 2 = 88.72, in float16 from 16 ln 2 = 11.09. Below, it loses digits and then is 0.

    Args:
      kind: e exponent bits and f fraction bits, as in `FLOAT_FORMAT`.
    """
    top = 2 ** (kind.exponent_bits - 1)
    return (2 - top) * math.log(2), top * math.log(2) + math.log1p(
        -(2.0 ** -(kind.fraction_bits + 1))
    )


def widen(x: Shaped[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Cast integers, booleans and 16-bit floats to float32; leave wider floats alone.

    Sums in bfloat16 stop growing at 256 and 0.9999 rounds to 1, so losses widen before they add.
    """
    if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize >= 4:
        return x
    return x.astype(jnp.float32)


def widen_all(*arrays: Shaped[Array, "..."]) -> tuple[Float[Array, "..."], ...]:
    """Cast every array to the widest float among them, to float32 at least.

    Labels and counts so take the precision of the prediction they are compared with.
    """
    floats = [a.dtype for a in arrays if jnp.issubdtype(a.dtype, jnp.floating)]
    dtype = max([jnp.dtype(jnp.float32), *floats], key=lambda kind: kind.itemsize)
    return tuple(a.astype(dtype) for a in arrays)


def absolute(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """|x| = x sign x, with slope 0 at 0, where `jnp.abs` has 1."""
    return x * jnp.sign(x)


def log1mexp(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 − e^−x) for x > 0; −inf at 0.

    Both forms are needed: expm1 keeps the digits of small x, log1p those of large x.

    Reference: Mächler 2012, Accurately computing log(1 − exp(−|a|)), equation 7.
    """
    small = x < 0.6931472  # ln 2, where the two forms are equally accurate
    near = jnp.log(-jnp.expm1(-jnp.where(small, x, 0.5)))
    far = jnp.log1p(-jnp.exp(-jnp.where(small, 1.0, x)))
    return jnp.where(small, near, far)


@jax.custom_jvp
def log1p_exp_neg(a: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 + e^−a) for a ≥ 0, the curved part of softplus and of every logistic likelihood.

    In float32 through log(1 + e) = 2·artanh(s), s = e/(2 + e) ≤ 1/3, whose series ends after s¹³
    with an error below 2e-8 of the value: a division and eight products, where `log1p` on a CPU
    costs several times as much as the exponential before it. Other floats take `log1p`.

    Reference: Abramowitz and Stegun 1964, equation 4.1.27.
    """
    e = jnp.exp(-a)
    if jnp.finfo(a.dtype).bits != 32:
        return jnp.log1p(e)
    s = e / (2 + e)
    square, series = s * s, jnp.full_like(s, 1 / 13)
    for power in (11, 9, 7, 5, 3, 1):
        series = series * square + 1 / power
    return 2 * s * series


@log1p_exp_neg.defjvp
def _log1p_exp_neg_jvp(primals, tangents):
    (a,), (da,) = primals, tangents
    return log1p_exp_neg(a), -jax.nn.sigmoid(-a) * da


@jax.custom_jvp
def softplus(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 + e^x) = max(x, 0) + log(1 + e^−|x|), with derivative σ(x)."""
    return jnp.maximum(x, 0) + log1p_exp_neg(jnp.abs(x))


@softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return softplus(x), jax.nn.sigmoid(x) * dx


@jax.custom_jvp
def log_cosh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log cosh x = log(1 + 2 sinh²(x/2)) = |x| + log(1 + e^−2|x|) − log 2, with derivative tanh x.

    The first form keeps the digits near 0, where the value is x²/2; the second never overflows.
    """
    a = jnp.abs(x)
    small = a < 1
    near = jnp.log1p(2 * jnp.square(jnp.sinh(0.5 * jnp.where(small, a, 0.5))))
    return jnp.where(small, near, a + log1p_exp_neg(2 * a) - math.log(2))


@log_cosh.defjvp
def _log_cosh_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return log_cosh(x), jnp.tanh(x) * dx


def log_sigmoid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log σ(x) = −softplus(−x)."""
    return -softplus(-x)


def softplus_inverse(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(e^y − 1) for y > 0, the x with log(1 + e^x) = y."""
    return y + log1mexp(y)


def log_sigmoid_difference(
    lower: Float[Array, "*shape"], width: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """log(σ(a + w) − σ(a)) = log σ(a + w) + log σ(−a) + log(1 − e^−w) for w > 0.

    The width is an argument of its own: recovered as a difference of two sigmoid arguments it has
    lost its digits, and a difference of two sigmoids has lost all of them.

    Args:
      lower: a, the lower end of the interval.
      width: w, its length.
    """
    return log_sigmoid(lower + width) + log_sigmoid(-lower) + log1mexp(width)


@jax.custom_jvp
def log_ndtr(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log Φ(x), Φ the distribution function of N(0, 1), with digits in both tails.

    Far down Φ underflows and log Φ(x) = −½x² − log(−x) − ½ log 2π + log Σ_k (−1)^k (2k−1)!!/x^2k.

    Reference: Abramowitz and Stegun 1964, equation 26.2.12.
    """
    return _log_ndtr_and_slope(x)[0]


@log_ndtr.defjvp
def _log_ndtr_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    value, slope = _log_ndtr_and_slope(x)
    return value, slope * dx


def _log_ndtr_and_slope(x: Float[Array, "*shape"]) -> tuple[Array, Array]:
    """log Φ and φ/Φ, which in the tail is −x over the series and no difference of large numbers."""
    log_root = 0.5 * math.log(2 * math.pi)
    edge = -8.0 if jnp.finfo(x.dtype).bits <= 32 else -20.0
    far = x < edge
    near_x, far_x = jnp.where(far, 0.0, x), jnp.where(far, x, edge)
    square, series = jnp.square(1 / far_x), jnp.ones_like(x)
    for odd in (15, 13, 11, 9, 7, 5, 3, 1):
        series = 1 - odd * square * series
    below = ndtr(-jnp.abs(near_x))
    near = jnp.where(near_x < 0, jnp.log(jnp.where(near_x < 0, below, 0.5)), jnp.log1p(-below))
    density = jnp.exp(-0.5 * jnp.square(near_x) - log_root)
    value = jnp.where(
        far, -0.5 * jnp.square(far_x) - jnp.log(-far_x) - log_root + jnp.log(series), near
    )
    return value, jnp.where(far, -far_x / series, density * jnp.exp(-near))


def logsumexp(
    x: Float[Array, "*shape"],
    *,
    axis: int | tuple[int, ...] | None = None,
    where: Bool[Array, "*shape"] | None = None,
    keepdims: bool = False,
) -> Float[Array, "..."]:
    """Log Σ e^x over the entries that `where` keeps; −inf, with gradient 0, if none is left.

    Args:
      x: any finite or −inf values.
      axis: reduced axes; all of them if None.
      where: entries to keep; the others may hold anything, NaN included.
      keepdims: leave the reduced axes in place with length 1.
    """
    if where is not None:
        x = jnp.where(where, x, -jnp.inf)
    top = jax.lax.stop_gradient(jnp.max(x, axis=axis, keepdims=True))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    total = jnp.sum(jnp.exp(x - top), axis=axis, keepdims=True)
    empty = total == 0
    value = jnp.where(empty, -jnp.inf, top + jnp.log(jnp.where(empty, 1.0, total)))
    return value if keepdims else jnp.squeeze(value, axis=axis)


def real_softmax(
    x: Float[Array, "*shape"],
    *,
    temperature: float | Scalar = 1.0,
    axis: int | tuple[int, ...] | None = None,
) -> Float[Array, "..."]:
    """T log Σ e^(x/T), which is between max x and max x + T log n; its gradient is softmax(x/T).

    With λ = 1/T the same is λ⁻¹ log Σ e^λx.

    Args:
      x: any finite or −inf values.
      temperature: T > 0; the maximum is reached as T → 0.
      axis: reduced axes; all of them if None.

    Raises:
      ValueError: if the temperature is a number that is not positive.
    """
    if isinstance(temperature, (int, float)) and not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")
    return temperature * logsumexp(x / temperature, axis=axis)


def real_softmin(
    x: Float[Array, "*shape"],
    *,
    temperature: float | Scalar = 1.0,
    axis: int | tuple[int, ...] | None = None,
) -> Float[Array, "..."]:
    """−T log Σ e^(−x/T) = −real_softmax(−x), between min x − T log n and min x.

    Args:
      x: any finite or +inf values.
      temperature: T > 0; the minimum is reached as T → 0.
      axis: reduced axes; all of them if None.

    Raises:
      ValueError: if the temperature is a number that is not positive.
    """
    return -real_softmax(-x, temperature=temperature, axis=axis)


def norm(
    x: Float[Array, "*shape"], *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Float[Array, "..."]:
    """√Σx², with gradient 0 at 0 and no overflow or underflow of the squares.

    Args:
      x: the vectors.
      axis: the axes of one vector; all of them if None.
      keepdims: leave the reduced axes in place with length 1.
    """
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True))
    scale = jnp.where((scale > 0) & jnp.isfinite(scale), scale, 1.0)
    total = jnp.sum(jnp.square(x / scale), axis=axis, keepdims=True)
    zero = total == 0
    value = scale * jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, total)))
    return value if keepdims else jnp.squeeze(value, axis=axis)


def soft_clip(x: Float[Array, "*shape"], limit: float) -> Float[Array, "*shape"]:
    """c·tanh(x/c): the identity near 0, inside (−c, c) everywhere, smooth in between."""
    return limit * jnp.tanh(x / limit)
