# SPDX-License-Identifier: Apache-2.0
"""Binding a primitive of our own under `shard_map` and on meshes with explicit axes."""

import functools
from typing import Any

import jax
from jax import lax
from jax.extend.core import Primitive
from jax.sharding import PartitionSpec, auto_axes, get_abstract_mesh

from jaxml.types import Array


def bind(primitive: Primitive, *operands: Array, batch: Any = None, **static: Any) -> Any:
    """Binds, once all operands vary over the same axes of a surrounding `shard_map`.

    On a mesh with explicit axes the compiler shards what is inside; a batch stays split as it came.

    Args:
      primitive: what is bound.
      operands: its operands.
      batch: mesh axes that split the first axis of every result.
      static: its parameters.
    """
    names = [jax.typeof(operand).manual_axis_type.varying for operand in operands]
    union = frozenset().union(*names)
    operands = tuple(
        lax.pcast(operand, tuple(union - own), to="varying") if union - own else operand
        for operand, own in zip(operands, names, strict=True)
    )
    bound = functools.partial(primitive.bind, **static)
    explicit = get_abstract_mesh().explicit_axes
    if not explicit:
        return bound(*operands)
    return auto_axes(bound, axes=explicit, out_sharding=PartitionSpec(batch))(*operands)


def batch_axes(operand: Array) -> Any:
    """The mesh axes that split the first axis of an operand, on a mesh with explicit axes."""
    return jax.typeof(operand).sharding.spec[0] if get_abstract_mesh().explicit_axes else None
