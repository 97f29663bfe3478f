# SPDX-License-Identifier: Apache-2.0
"""The input of a causal convolution as it becomes known, with the window's zeros around it."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

Canvas = Float[Array, "n rows columns n_in"]
Place = Int[Array, ""] | int


def blank(
    window: tuple[int, ...], n: int, size: tuple[int, int], n_in: int, dtype: DTypeLike
) -> Canvas:
    """Zeros: n images, half a window of rows above them and of columns at both sides.

    Args:
      window: odd numbers of taps along rows and columns.
      n: images.
      size: (height, width) of the images.
      n_in: channels.
      dtype: of the canvas.
    """
    above, beside = (k // 2 for k in window)
    return jnp.zeros((n, size[0] + above, size[1] + 2 * beside, n_in), dtype)


def painted(
    canvas: Canvas,
    x: Float[Array, "n some n_in"],
    window: tuple[int, ...],
    row: Place,
    column: Place,
) -> Canvas:
    """The canvas with neighbours x in a row of the images, from a column on.

    Args:
      canvas: of `blank`.
      x: some pixels.
      window: as for `blank`.
      row: of the image.
      column: of the image, where x begins.
    """
    above, beside = (k // 2 for k in window)
    start = (0, row + above, column + beside, 0)
    return jax.lax.dynamic_update_slice(canvas, x[:, None].astype(canvas.dtype), start)
