# SPDX-License-Identifier: Apache-2.0
"""Three bilinear operations whose transposes are each other, differentiable in every mode.

The number `sum_{n,i,k} x[n, stride i + dilation k - low] K[k] y[n, i]` is linear in `x`, in `K` and
in `y`. Its derivative in one of them is an operation on the other two: in `y` the convolution, in
`x` the input gradient (the transposed convolution), in `K` the kernel gradient. A derivative of any
of the three is again one of the three, so they are closed under differentiation of every order.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxml.layers.bind import batch_axes, bind
from jaxml.layers.convolution_by_window import channels_last
from jaxml.layers.convolution_form import form
from jaxml.layers.convolution_geometry import Geometry
from jaxml.types import Array

# The axes of each array once its channels are split into groups: `n ... g i`, `... i g o`,
# `n ... g o`. Two arrays keep in step the letters that they share.
_AXES = {
    "input": {"n": 0, "g": -2, "i": -1},
    "kernel": {"i": -3, "g": -2, "o": -1},
    "output": {"n": 0, "g": -2, "o": -1},
}


def convolve(x: Array, kernel: Array, geometry: Geometry, precision: Any = None) -> Array:
    """Convolution `y[n, i] = sum_k x[n, stride i + dilation k - low] K[k]`."""
    return _bind("output", x, kernel, geometry, precision)


def input_gradient(y: Array, kernel: Array, geometry: Geometry, precision: Any = None) -> Array:
    """Transposed convolution `x[n, stride i + dilation k - low] += y[n, i] K[k]` over all i, k."""
    return _bind("input", y, kernel, geometry, precision)


def kernel_gradient(x: Array, y: Array, geometry: Geometry, precision: Any = None) -> Array:
    """Kernel gradient `K[k] = sum_{n,i} x[n, stride i + dilation k - low] y[n, i]`."""
    return _bind("kernel", x, y, geometry, precision)


def _bind(role: str, a: Array, b: Array, geometry: Geometry, precision: Any) -> Array:
    batch = None if role == "kernel" else batch_axes(a)
    return bind(_PRIMITIVES[role], a, b, batch=batch, geometry=geometry, precision=precision)


def _shapes(role: str, a: Any, b: Any, geometry: Geometry) -> dict[str, tuple[int, ...]]:
    """The shapes of all three arrays, from those of the two operands of an operation."""
    known = dict(zip(_OPERANDS[role], (a.shape, b.shape), strict=True))
    groups = geometry.groups
    if role == "output":
        known[role] = (known["input"][0], *geometry.output, known["kernel"][-1])
    elif role == "input":
        known[role] = (known["output"][0], *geometry.input, known["kernel"][-2] * groups)
    else:
        known[role] = (*geometry.kernel, known["input"][-1] // groups, known["output"][-1])
    return known


def _abstract(role: str, a: Any, b: Any, *, geometry: Geometry, precision: Any) -> Any:
    if a.dtype != b.dtype:
        raise TypeError(f"convolution needs operands of one dtype, got {a.dtype} and {b.dtype}")
    return a.update(shape=_shapes(role, a, b, geometry)[role], weak_type=False)


def _by_form(role: str, a: Array, b: Array, *, geometry: Geometry, precision: Any) -> Array:
    """The CPU's way."""
    *_, channels, features = _shapes(role, a, b, geometry)["kernel"]
    chosen = form(geometry, channels, features // geometry.groups, a.dtype)
    return getattr(chosen, role)(a, b, geometry, precision)


def _native(role: str, a: Array, b: Array, *, geometry: Geometry, precision: Any) -> Array:
    """Every other platform's way: XLA's own operation and JAX's own transposes of it."""

    def convolution(x: Array, kernel: Array) -> Array:
        return channels_last(
            x,
            kernel,
            precision,
            geometry.padding,
            groups=geometry.groups,
            stride=geometry.stride,
            dilation=geometry.dilation,
        )

    if role == "output":
        return convolution(a, b)
    missing = jax.ShapeDtypeStruct(_shapes(role, a, b, geometry)[role], a.dtype)
    if role == "input":
        return jax.linear_transpose(lambda x: convolution(x, b), missing)(a)[0]
    return jax.linear_transpose(lambda kernel: convolution(a, kernel), missing)(b)[0]


@functools.cache
def _compiled(role: str, geometry: Geometry, precision: Any) -> Any:
    return jax.jit(
        functools.partial(_PRIMITIVES[role].bind, geometry=geometry, precision=precision)
    )


def _evaluate(role: str, a: Array, b: Array, *, geometry: Geometry, precision: Any) -> Array:
    """Outside of any transformation."""
    return _compiled(role, geometry, precision)(a, b)


def _fold(array: Array, axis: int, role: str, letter: str, groups: int) -> Array:
    """Merges a mapped axis into the axis called `letter`."""
    array = jnp.moveaxis(array, axis, 0)
    array = array.reshape(*array.shape[:-1], groups, -1)
    place = _AXES[role][letter] % (array.ndim - 1)
    array = jnp.moveaxis(array, 0, place)
    array = array.reshape(*array.shape[:place], -1, *array.shape[place + 2 :])
    return array.reshape(*array.shape[:-2], -1)


def _unfold(array: Array, role: str, letter: str, groups: int, size: int) -> Array:
    """Splits a mapped axis of `size` off the axis called `letter` and puts it in front."""
    array = array.reshape(*array.shape[:-1], groups, -1)
    place = _AXES[role][letter] % array.ndim
    array = array.reshape(*array.shape[:place], size, -1, *array.shape[place + 1 :])
    array = jnp.moveaxis(array, place, 0)
    return array.reshape(*array.shape[:-2], -1)


def _batch(role: str, operands: Any, axes: Any, *, geometry: Geometry, precision: Any) -> Any:
    """Maps over one operand along the axis it shares with the result, over both as groups."""
    names = _OPERANDS[role]
    mapped = [name for name, axis in zip(names, axes, strict=True) if axis is not None]
    size = next(a.shape[d] for a, d in zip(operands, axes, strict=True) if d is not None)
    groups = geometry.groups
    if len(mapped) == 2:
        letter, inner = "g", geometry._replace(groups=groups * size)
    else:
        letter = next(iter((_AXES[mapped[0]].keys() & _AXES[role].keys()) - {"g"}))
        inner = geometry
    a, b = (
        operand if axis is None else _fold(operand, axis, name, letter, groups)
        for operand, axis, name in zip(operands, axes, names, strict=True)
    )
    result = _bind(role, a, b, inner, precision)
    return _unfold(result, role, letter, inner.groups, size), 0


_OPERANDS = {
    "output": ("input", "kernel"),
    "input": ("output", "kernel"),
    "kernel": ("input", "output"),
}
_PRIMITIVES = {
    "output": Primitive("convolution"),
    "input": Primitive("convolution_input_gradient"),
    "kernel": Primitive("convolution_kernel_gradient"),
}
for _role, _primitive in _PRIMITIVES.items():
    _primitive.def_impl(functools.partial(_evaluate, _role))
    _primitive.def_abstract_eval(functools.partial(_abstract, _role))
    batching.primitive_batchers[_primitive] = functools.partial(_batch, _role)
    mlir.register_lowering(
        _primitive, mlir.lower_fun(functools.partial(_native, _role), multiple_results=False)
    )
    mlir.register_lowering(
        _primitive,
        mlir.lower_fun(functools.partial(_by_form, _role), multiple_results=False),
        platform="cpu",
    )

ad.defbilinear(
    _PRIMITIVES["output"],
    lambda y, x, kernel, **static: input_gradient(y, kernel, **static),
    lambda y, x, kernel, **static: kernel_gradient(x, y, **static),
)
ad.defbilinear(
    _PRIMITIVES["input"],
    lambda x, y, kernel, **static: convolve(x, kernel, **static),
    lambda x, y, kernel, **static: kernel_gradient(x, y, **static),
)
ad.defbilinear(
    _PRIMITIVES["kernel"],
    lambda kernel, x, y, **static: input_gradient(y, kernel, **static),
    lambda kernel, x, y, **static: convolve(x, kernel, **static),
)
