# SPDX-License-Identifier: Apache-2.0
"""Convolutions that read an image by rows: a row and those above it, to both sides."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.convolution import convolution
from jaxml.nn.canvas import Place, blank, painted


class RowConv(nnx.Module):
    """y = convolution(x, K) + b, K with the rows of a window down to its middle one.

    Row i of y depends on rows up to i of x, and on no later one. A row alone costs no more than its
    own taps: `at` reads it from a `canvas`, the input with room for the window's zeros around it,
    which `paint` fills.

    Args:
      n_in: channels of the input.
      n_out: channels of the output.
      window: odd numbers of taps along rows and columns.
      dtype: dtype of the computation; parameters stay float32.
      rngs: keys for initialization, with variance 1/fan-in.

    Raises:
      ValueError: if the window is even.

    Reference: van den Oord et al. 2016, section 2.3, arXiv:1606.05328.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        window: tuple[int, int],
        *,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        if not all(k > 0 and k % 2 for k in window):
            raise ValueError(f"window: expected odd numbers of taps, got {window}")
        self.window, self.n_in, self.dtype = tuple(window), n_in, dtype
        init = nnx.initializers.lecun_normal()
        shape = (window[0] // 2 + 1, window[1], n_in, n_out)
        self.kernel = nnx.Param(init(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(n_out))

    def __call__(self, x: Float[Array, "n h w n_in"]) -> Float[Array, "n h w n_out"]:
        """y at every position."""
        above, beside = (k // 2 for k in self.window)
        return self._spread(x, ((above, 0), (beside, beside)))

    def canvas(self, n: int, height: int, width: int) -> Float[Array, "n rows columns n_in"]:
        """An input of zeros, with zeros around it."""
        dtype = self.dtype or self.kernel[...].dtype
        return blank(self.window, n, (height, width), self.n_in, dtype)

    def paint(
        self,
        canvas: Float[Array, "n rows columns n_in"],
        x: Float[Array, "n some n_in"],
        row: Place,
        column: Place,
    ) -> Float[Array, "n rows columns n_in"]:
        """The canvas with neighbours x in a row of the image, from a column on."""
        return painted(canvas, x, self.window, row, column)

    def at(
        self, canvas: Float[Array, "n rows columns n_in"], row: Place
    ) -> Float[Array, "n w n_out"]:
        """y in one row of the image."""
        seen = jax.lax.dynamic_slice_in_dim(canvas, row, self.window[0] // 2 + 1, axis=1)
        return self._spread(seen, ((0, 0), (0, 0)))[:, 0]

    def _spread(self, x: Array, padding: tuple[tuple[int, int], tuple[int, int]]) -> Array:
        x = x if self.dtype is None else x.astype(self.dtype)
        y = convolution(x, self.kernel[...].astype(x.dtype), padding=padding)
        return y + self.bias[...].astype(y.dtype)[None, None, None]
