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
    return jax.nn.log_sigmoid(lower + width) + jax.nn.log_sigmoid(-lower) + log1mexp(width)


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
