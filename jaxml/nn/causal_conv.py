# SPDX-License-Identifier: Apache-2.0
"""Convolutions that read an image in the order of reading: rows above, and pixels to the left."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.convolution import convolution
from jaxml.layers.masking import Mask, pixel_cnn
from jaxml.nn.canvas import Place, blank, painted


class CausalConv(nnx.Module):
    """y = convolution(x, M ⊙ K) + b with the mask of `layers.masking.pixel_cnn`.

    K has the rows of the window above the middle and the middle one: of the others nothing is read.
    It begins with variance 1/fan-in, counting what the mask shows.

    A position alone costs no more than its own taps: `at` reads it from a `canvas`, the input with
    room for the window's zeros around it, which `paint` fills.

    Args:
      n_in: channels of the input.
      n_out: channels of the output.
      window: odd numbers of taps along rows and columns.
      self_too: whether a colour of a pixel sees itself: mask B; otherwise mask A.
      colours: groups into which channels fall; channel k has the colour k mod `colours`.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: if the window is even, or the colours do not divide the channels.

    Reference: van den Oord et al. 2016, section 3.4, arXiv:1601.06759.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        window: tuple[int, int],
        *,
        self_too: bool = True,
        colours: int = 1,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.window, self.self_too, self.colours = tuple(window), self_too, colours
        self.n_in, self.n_out, self.dtype = n_in, n_out, dtype
        shown = self.mask()
        fan_in = max(1.0, shown.sum() / n_out)
        init = nnx.initializers.truncated_normal(1 / math.sqrt(fan_in))
        self.kernel = nnx.Param(init(rngs.params(), shown.shape))
        self.bias = nnx.Param(jnp.zeros(n_out))

    def mask(self) -> Mask:
        """M, of the rows that are read."""
        whole = pixel_cnn(
            self.window, self.n_in, self.n_out, self_too=self.self_too, colours=self.colours
        )
        return whole[: self.window[0] // 2 + 1]

    def __call__(self, x: Float[Array, "n h w n_in"]) -> Float[Array, "n h w n_out"]:
        """y at every position."""
        x = x if self.dtype is None else x.astype(self.dtype)
        above, beside = (k // 2 for k in self.window)
        padding = ((above, 0), (beside, beside))
        y = convolution(x, self._masked(x.dtype), padding=padding)
        return y + self.bias[...].astype(y.dtype)[None, None, None]

    def canvas(self, n: int, height: int, width: int) -> Float[Array, "n rows columns n_in"]:
        """An input of zeros, with zeros around it."""
        dtype = self.dtype or self.kernel[...].dtype
        return blank(self.window, n, (height, width), self.n_in, dtype)

    def paint(
        self,
        canvas: Float[Array, "n rows columns n_in"],
        x: Float[Array, "n n_in"],
        row: Place,
        column: Place,
    ) -> Float[Array, "n rows columns n_in"]:
        """The canvas with x at one position of the image."""
        return painted(canvas, x[:, None], self.window, row, column)

    def at(
        self, canvas: Float[Array, "n rows columns n_in"], row: Place, column: Place
    ) -> Float[Array, "n n_out"]:
        """y at one position of the image."""
        above, beside = (k // 2 for k in self.window)
        size = (len(canvas), above + 1, 2 * beside + 1, self.n_in)
        seen = jax.lax.dynamic_slice(canvas, (0, row, column, 0), size)
        kernel = self._masked(canvas.dtype).reshape(-1, self.n_out)
        return seen.reshape(len(canvas), -1) @ kernel + self.bias[...].astype(canvas.dtype)[None]

    def _masked(self, dtype: DTypeLike) -> Array:
        return jnp.where(self.mask(), self.kernel[...], 0).astype(dtype)
