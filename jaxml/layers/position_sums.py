# SPDX-License-Identifier: Apache-2.0
"""Sums over positions and the affine map of channels, differentiable in every mode.

With d = x − s, `products` maps g to (Σ g, Σ d g) and `affine` maps (a, b) to d a + b. Each is the
transpose of the other, and the derivative of `squares`, (Σ d, Σ d²), along ẋ is products of ẋ: the
three are closed under differentiation of every order.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxml.layers.bind import batch_axes, bind
from jaxml.layers.sums_by_block import plain
from jaxml.layers.sums_by_block import products as by_block
from jaxml.types import Array


def squares(x: Array, shift: Array) -> tuple[Array, Array]:
    """Σ (x − s) and Σ (x − s)².

    Args:
      x: `n p c`; sums run over p.
      shift: s, `n 1 c`.

    Returns:
      Both sums, `n 1 c`.
    """
    first, second = bind(_SQUARES, x, shift, batch=batch_axes(x))
    return first, second


def products(x: Array, shift: Array, g: Array) -> tuple[Array, Array]:
    """Σ g and Σ (x − s) g, with `g` of the shape of `x`."""
    first, second = bind(_PRODUCTS, x, shift, g, batch=batch_axes(x))
    return first, second


def affine(x: Array, shift: Array, slope: Array, start: Array) -> Array:
    """(x − s) a + b, with a and b of the shape of s."""
    (y,) = bind(_AFFINE, x, shift, slope, start, batch=batch_axes(x))
    return _cotangent_once(y)


def _cotangent_once(y: Array) -> Array:
    """y, whose cotangent is worked out once and not again for each of its uses."""
    (y,) = bind(_ONCE, y, batch=batch_axes(y))
    return y


def _affine(x: Array, shift: Array, slope: Array, start: Array) -> tuple[Array]:
    return ((x - shift) * slope + start,)


def _squares_jvp(primals: Any, tangents: Any) -> Any:
    x, shift = primals
    dx, dshift = tangents
    first, second = squares(x, shift)
    d_first, d_second = jnp.zeros_like(first), jnp.zeros_like(second)
    if not isinstance(dx, ad.Zero):
        total, cross = products(x, shift, dx)
        d_first, d_second = total, 2 * cross
    if not isinstance(dshift, ad.Zero):
        count = x.size // shift.size
        d_first, d_second = d_first - count * dshift, d_second - 2 * first * dshift
    return (first, second), (d_first, d_second)


def _products_jvp(primals: Any, tangents: Any) -> Any:
    x, shift, g = primals
    dx, dshift, dg = tangents
    first, second = products(x, shift, g)
    d_first, d_second = jnp.zeros_like(first), jnp.zeros_like(second)
    if not isinstance(dg, ad.Zero):
        d_first, d_second = products(x, shift, dg)
    if not isinstance(dx, ad.Zero):
        d_second = d_second + (dx * g).sum(1, keepdims=True)
    if not isinstance(dshift, ad.Zero):
        d_second = d_second - first * dshift
    return (first, second), (d_first, d_second)


def _affine_jvp(primals: Any, tangents: Any) -> Any:
    x, shift, slope, _ = primals
    dx, dshift, *rest = tangents
    parts = []
    if not all(isinstance(tangent, ad.Zero) for tangent in rest):
        parts.append(affine(x, shift, *map(ad.instantiate_zeros, rest)))
    if not isinstance(dx, ad.Zero):
        parts.append(dx * slope)
    if not isinstance(dshift, ad.Zero):
        parts.append(jnp.broadcast_to(-dshift * slope, x.shape))
    return (affine(*primals),), (functools.reduce(jnp.add, parts),)


def _products_transpose(cotangents: Any, x: Any, shift: Any, g: Any) -> Any:
    if ad.is_undefined_primal(x) or ad.is_undefined_primal(shift):
        raise NotImplementedError("products are not linear in x")
    total, cross = map(ad.instantiate_zeros, cotangents)
    return None, None, affine(x, shift, cross, total)


def _affine_transpose(cotangents: Any, x: Any, shift: Any, slope: Any, start: Any) -> Any:
    if ad.is_undefined_primal(x) or ad.is_undefined_primal(shift):
        raise NotImplementedError("an affine map is not linear in x")
    total, cross = products(x, shift, ad.instantiate_zeros(cotangents[0]))
    parts = zip((slope, start), (cross, total), strict=True)
    return None, None, *(part if ad.is_undefined_primal(to) else None for to, part in parts)


def _sums_shape(x: Any, shift: Any, *g: Any) -> tuple[Any, Any]:
    one = shift.update(weak_type=False)
    return one, one


def _affine_shape(x: Any, *rest: Any) -> tuple[Any]:
    return (x.update(weak_type=False),)


def _batch(rule: Callable, operands: Any, axes: Any) -> Any:
    """A mapped axis joins the first one; what is not mapped is repeated."""
    size = next(a.shape[d] for a, d in zip(operands, axes, strict=True) if d is not None)
    joined = []
    for operand, axis in zip(operands, axes, strict=True):
        if axis is None:
            operand = jnp.broadcast_to(operand, (size, *operand.shape))
        else:
            operand = jnp.moveaxis(operand, axis, 0)
        joined.append(operand.reshape(-1, *operand.shape[2:]))
    results = rule(*joined)
    results = results if isinstance(results, tuple) else (results,)
    split = [result.reshape(size, -1, *result.shape[1:]) for result in results]
    return split, [0] * len(split)


def _define(
    name: str, rule: Callable, forms: tuple[Callable, Callable], shape: Callable, jvp: Callable
) -> Primitive:
    """A primitive with its two lowerings, the first for a CPU."""
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(jax.jit(primitive.bind))
    primitive.def_abstract_eval(shape)
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = lambda *a, **k: _batch(rule, *a, **k)
    cpu, others = (mlir.lower_fun(form, multiple_results=True) for form in forms)
    mlir.register_lowering(primitive, others)
    mlir.register_lowering(primitive, cpu, platform="cpu")
    return primitive


def _without_weights(form: Callable) -> Callable:
    return lambda x, shift: form(x, shift, None)


_SQUARES = _define(
    "squares_over_positions",
    squares,
    (_without_weights(by_block), _without_weights(plain)),
    _sums_shape,
    _squares_jvp,
)
_PRODUCTS = _define(
    "products_over_positions", products, (by_block, plain), _sums_shape, _products_jvp
)
_AFFINE = _define("affine_of_channels", affine, (_affine, _affine), _affine_shape, _affine_jvp)
_ONCE = _define(
    "cotangent_once",
    _cotangent_once,
    (lambda y: (y,), lambda y: (y,)),
    lambda y: (y,),
    lambda primals, tangents: ((_cotangent_once(*primals),), (_cotangent_once(*tangents),)),
)
ad.primitive_transposes[_ONCE] = lambda cotangents, y: [lax.optimization_barrier(cotangents[0])]
ad.primitive_transposes[_PRODUCTS] = _products_transpose
ad.primitive_transposes[_AFFINE] = _affine_transpose
