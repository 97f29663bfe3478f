# SPDX-License-Identifier: Apache-2.0
"""Flow layers made of flow layers: one after another, many alike, backwards; and learned ones.

A flow layer is a module with `forward(x, context) -> (y, log_det)` and `inverse`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.bijections import Bijection

Event = Float[Array, "*batch_and_event"]
Moved = Float[Array, "*batch_and_moved"]
"""What becomes of an event: a layer may change its shape, as squeezing does."""
LogDet = Float[Array, "*batch"]
Context = Float[Array, "*places n_context"] | None
"""A vector an example, or, where events are images, one a position."""
Layer = Any
"""A module with `forward` and `inverse`."""


class Constant(nnx.Variable):
    """Numbers of a layer that are not learned, such as the permutation of a factored matrix."""


class Chain(nnx.Module):
    """f_k ∘ … ∘ f_1, the first layer first."""

    def __init__(self, layers: Sequence[Layer]):
        self.layers = nnx.List(layers)

    def forward(self, x: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """y and log |det ∂y/∂x|."""
        total = jnp.zeros((), x.dtype)
        for layer in self.layers:
            x, log_det = layer.forward(x, context)
            total = total + log_det
        return x, total

    def inverse(self, y: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """x and log |det ∂x/∂y|."""
        total = jnp.zeros((), y.dtype)
        for layer in reversed(self.layers):
            y, log_det = layer.inverse(y, context)
            total = total + log_det
        return y, total


def stacked(make: Callable[[nnx.Rngs], Layer], n: int, *, rngs: nnx.Rngs) -> Layer:
    """One module that holds the parameters of n alike along a first axis, as `lax.scan` reads them.

    Raises:
      ValueError: if n is below 1.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1, got {n}")
    return jax.tree.map(lambda *a: jnp.stack(a), *(make(rngs) for _ in range(n)))


class Stack(nnx.Module):
    """n layers alike under one loop: parameters are stacked, one layer is compiled.

    Args:
      make: builds one layer from its `nnx.Rngs`.
      n: how many.
      unroll: layers a turn of the loop: more are faster and take longer to compile.
      rngs: keys for initialization.

    Raises:
      ValueError: if n is below 1.
    """

    def __init__(
        self, make: Callable[[nnx.Rngs], Layer], n: int, *, unroll: int = 1, rngs: nnx.Rngs
    ):
        self.unroll = unroll
        self.layers = stacked(make, n, rngs=rngs)

    def forward(self, x: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """y and log |det ∂y/∂x|."""

        def step(x, layer):
            return layer.forward(x, context)

        y, log_dets = jax.lax.scan(step, x, self.layers, unroll=self.unroll)
        return y, log_dets.sum(0)

    def inverse(self, y: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """x and log |det ∂x/∂y|."""

        def step(y, layer):
            return layer.inverse(y, context)

        x, log_dets = jax.lax.scan(step, y, self.layers, unroll=self.unroll, reverse=True)
        return x, log_dets.sum(0)


class Inverted(nnx.Module):
    """f⁻¹ in the place of f."""

    def __init__(self, layer: Layer):
        self.layer = layer

    def forward(self, x: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """f⁻¹(x)."""
        return self.layer.inverse(x, context)

    def inverse(self, y: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """f(y)."""
        return self.layer.forward(y, context)


class Learned(nnx.Module):
    """A bijection with parameters of its own, the same for all x, or with none.

    Args:
      bijection: f.
      params: where its parameters begin: a NamedTuple, a dict or a tuple of arrays.
      constant: fields of the NamedTuple that are not learned, or True for all of it. Integers
        never are.
    """

    def __init__(
        self, bijection: Bijection, params: Any = (), *, constant: Sequence[str] | bool = ()
    ):
        self.bijection = bijection
        leaves, treedef = jax.tree.flatten_with_path(params)
        self.treedef = nnx.static(treedef)
        self.leaves = nnx.List(
            (nnx.Param if _is_learned(path, leaf, constant) else Constant)(jnp.asarray(leaf))
            for path, leaf in leaves
        )

    def params(self) -> Any:
        """The parameters as the bijection takes them."""
        return jax.tree.unflatten(self.treedef, [leaf[...] for leaf in self.leaves])

    def forward(self, x: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """f(x)."""
        del context
        return self.bijection.forward(x, self.params())

    def inverse(self, y: Event, context: Context = None) -> tuple[Moved, LogDet]:
        """f⁻¹(y)."""
        del context
        return self.bijection.inverse(y, self.params())


def _is_learned(path: tuple, leaf: Array, constant: Sequence[str] | bool) -> bool:
    if isinstance(constant, bool):
        named = constant
    else:
        named = any(str(getattr(key, "name", "")) in constant for key in path)
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating) and not named
