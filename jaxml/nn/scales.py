# SPDX-License-Identifier: Apache-2.0
"""Image flows at several resolutions: part of the image is done early, the rest goes on coarser."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.bijections import join, split, squeeze
from jaxml.nn.composed import Context

Image = Float[Array, "batch _ _ _"]
Vector = Float[Array, "batch d"]
LogDet = Float[Array, "batch"]


class MultiScale(nnx.Module):
    """z = (z₁, …, z_L): of what a level makes, the second half of the channels is done.

    h₀ = x, (h_l, z_l) = split(level_l(h_{l−1})), z_L = level_L(h_{L−1}), all z_l in one vector. A
    level that ends in a `Coupling` of the second half, given the first, thereby learns the law of
    what it parts with: the split prior of Glow.

    Args:
      shape: (height, width, channels) of x.
      levels: flow layers over images; each may change resolution and channels.
      n_context: features of the context of a conditional flow.

    Raises:
      ValueError: if there is no level, or one keeps less than two channels to be split.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, equations 13 to 16, arXiv:1605.08803.
    """

    def __init__(self, shape: tuple[int, int, int], levels: Sequence[Any], *, n_context: int = 0):
        if not levels:
            raise ValueError("levels: expected at least one")
        self.shape, self.levels = tuple(shape), nnx.List(levels)
        shapes, context = [], jnp.zeros((1, n_context)) if n_context else None
        for i, level in enumerate(levels):
            made = jax.eval_shape(level.forward, jnp.zeros((1, *shape)), context)[0].shape[1:]
            if i < len(levels) - 1:
                if made[-1] < 2:
                    raise ValueError(f"levels: level {i} leaves 1 channel, which cannot be split")
                shape = (*made[:-1], made[-1] - made[-1] // 2)
                made = (*made[:-1], made[-1] // 2)
            shapes.append(made)
        self.shapes = tuple(shapes)

    def forward(self, x: Image, context: Context = None) -> tuple[Vector, LogDet]:
        """z and log |det ∂z/∂x|."""
        z, log_dets = self.descend(x, lambda level, x: level.forward(x, context))
        return z, sum(log_dets, jnp.zeros((), x.dtype))

    def descend(self, x: Image, visit: Callable[[Any, Image], Any]) -> tuple[Vector, list]:
        """Calls `visit(level, x) -> (x, finding)` from the finest level on; z and all findings."""
        done, findings = [], []
        for i, level in enumerate(self.levels):
            x, finding = visit(level, x)
            findings.append(finding)
            if i < len(self.levels) - 1:
                x, part = split(x)
                done.append(part)
        return jnp.concatenate([z.reshape(len(z), -1) for z in (*done, x)], -1), findings

    def inverse(self, z: Vector, context: Context = None) -> tuple[Image, LogDet]:
        """x and log |det ∂x/∂z|."""
        *done, x = self.parts(z)
        total = jnp.zeros((), z.dtype)
        for i, level in reversed(list(enumerate(self.levels))):
            if i < len(self.levels) - 1:
                x = join(x, done[i])
            x, log_det = level.inverse(x, context)
            total = total + log_det
        return x, total

    def parts(self, z: Vector) -> list[Float[Array, "batch _ _ _"]]:
        """z₁, …, z_L as images, the finest first."""
        ends = [math.prod(shape) for shape in self.shapes]
        cuts = [sum(ends[: i + 1]) for i in range(len(ends) - 1)]
        pieces = jnp.split(z, cuts, axis=-1)
        return [p.reshape(len(z), *s) for p, s in zip(pieces, self.shapes, strict=True)]


class Squeezed(nnx.Module):
    """A layer at half the resolution and four times the channels, the image's shape kept.

    A context that is an image is squeezed with it.

    Args:
      layer: a flow layer over images that keeps their shape.
    """

    def __init__(self, layer: Any):
        self.layer = layer

    def forward(self, x: Image, context: Context = None) -> tuple[Image, LogDet]:
        """y and log |det ∂y/∂x|."""
        return self.move(self.layer.forward, x, context)

    def inverse(self, y: Image, context: Context = None) -> tuple[Image, LogDet]:
        """x and log |det ∂x/∂y|."""
        return self.move(self.layer.inverse, y, context)

    def move(self, function: Callable, x: Image, context: Context) -> tuple[Image, Any]:
        """`function(x, context) -> (y, finding)` of squeezed images, y unsqueezed."""
        fold, unfold, _ = squeeze(2)
        if context is not None and context.ndim == x.ndim:
            context = fold(context, ())[0]
        y, finding = function(fold(x, ())[0], context)
        return unfold(y, ())[0], finding
