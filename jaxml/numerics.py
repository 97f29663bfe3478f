# SPDX-License-Identifier: Apache-2.0
"""Elementary functions that stay finite, values and gradients alike."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped


def widen(x: Shaped[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Cast integers, booleans and 16-bit floats to float32; leave wider floats alone.

    Sums in bfloat16 stop growing at 256 and 0.9999 rounds to 1, so losses widen before they add.
    """
    if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize >= 4:
        return x
    return x.astype(jnp.float32)


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
