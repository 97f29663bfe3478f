# SPDX-License-Identifier: Apache-2.0
"""PixelCNN: raw outputs for every pixel from the pixels before it, at once or one by one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.nn.canvas import Place
from jaxml.nn.causal_conv import CausalConv
from jaxml.nn.mlp import Activation

Image = Float[Array, "n height width _"]
Context = Float[Array, "n n_context"] | None
Canvases = list[Array]
"""What each convolution has to read, as far as it is known."""


class PixelBlock(nnx.Module):
    """x + W₃ a(W₂ ∗ a(W₁ a(x) + V c)), W₂ masked and W₁, W₃ of one tap.

    Args:
      width: channels of x.
      hidden: channels in between.
      window: taps of W₂.
      colours: see `CausalConv`.
      n_context: features of c; every colour sees it.
      activation: a.
      dtype: dtype of the computation.
      rngs: keys for initialization; W₃ begins at 0 and the block as the identity.

    Raises:
      ValueError: when called, for a context that the block does not have or lacks.

    Reference: van den Oord et al. 2016, figure 5 (left), arXiv:1601.06759.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        window: tuple[int, int],
        *,
        colours: int = 1,
        n_context: int = 0,
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        options = {"colours": colours, "dtype": dtype, "rngs": rngs}
        self.activation = activation
        self.first = CausalConv(width, hidden, (1, 1), **options)
        self.conv = CausalConv(hidden, hidden, window, **options)
        self.last = CausalConv(hidden, width, (1, 1), **options)
        self.last.kernel.set_value(jnp.zeros_like(self.last.kernel[...]))
        self.told = (
            nnx.Linear(n_context, hidden, use_bias=False, dtype=dtype, rngs=rngs)
            if n_context
            else None
        )

    def __call__(self, x: Image, context: Context, spread: Callable[[Array], Array]) -> Image:
        """The block's output, where `spread` is its convolution: of an image, or of a canvas."""
        h = self.first(self.activation(x))
        if (self.told is None) != (context is None):
            has = "no context" if self.told is None else "a context"
            raise ValueError(f"context: the network was built for {has}")
        if self.told is not None and context is not None:
            h = h + self.told(context)[:, None, None]
        return x + self.last(self.activation(spread(self.activation(h))))


class PixelCNN(nnx.Module):
    """raw(x, c): 7 × 7 mask A, blocks of 3 × 3 mask B, and two layers of one tap.

    The output for a colour of a pixel depends on rows above, on pixels to the left and on colours
    before it, and on nothing else. Not on all of these: what lies up and to the right at more than
    45° is beyond the reach of stacked windows (van den Oord et al. 2016, arXiv:1606.05328, figure
    1), but for the columns that the first window opens.

    Args:
      shape: (height, width, colours) of the images.
      width: channels of the residual stream.
      n_blocks: how many.
      n_out: raw numbers of a pixel.
      joint: whether the colours of a pixel are predicted together, by a law that couples them;
        otherwise one after another.
      hidden: channels inside of blocks; half of `width` if None.
      first: taps of the first window.
      window: taps of the blocks' windows.
      n_context: features of c.
      activation: of all layers.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes below 1, and where the colours do not divide the channels.

    Reference: van den Oord et al. 2016, table 1, arXiv:1601.06759; with a context, section 2.2 of
    arXiv:1606.05328, as a shift of every block.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        n_blocks: int,
        n_out: int,
        *,
        joint: bool = False,
        hidden: int | None = None,
        first: tuple[int, int] = (7, 7),
        window: tuple[int, int] = (3, 3),
        n_context: int = 0,
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        hidden = width // 2 if hidden is None else hidden
        sizes = {"shape": min(shape), "hidden": hidden, "n_blocks": n_blocks, "n_out": n_out}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}: expected positive sizes, got {size}")
        self.shape, self.n_out, self.activation = shape, n_out, activation
        self.n_groups = 1 if joint else shape[-1]
        options = {"colours": self.n_groups, "dtype": dtype, "rngs": rngs}
        self.first = CausalConv(shape[-1], width, first, self_too=False, **options)
        self.blocks = nnx.List(
            PixelBlock(width, hidden, window, n_context=n_context, activation=activation, **options)
            for _ in range(n_blocks)
        )
        self.head = CausalConv(width, width, (1, 1), **options)
        self.last = CausalConv(width, n_out, (1, 1), **options)

    def __call__(self, x: Image, context: Context = None) -> Image:
        """The raw outputs of every pixel."""
        h = self.first(x)
        for block in self.blocks:
            h = block(h, context, block.conv)
        return self._end(h)

    def canvases(self, n: int) -> Canvases:
        """What n images are drawn on."""
        convs = [self.first, *(block.conv for block in self.blocks)]
        return [conv.canvas(n, *self.shape[:2]) for conv in convs]

    def paint(
        self, canvases: Canvases, x: Float[Array, "n _"], row: Place, column: Place
    ) -> Canvases:
        """The canvases when the colours of one pixel are known."""
        return [self.first.paint(canvases[0], x, row, column), *canvases[1:]]

    def at(
        self, canvases: Canvases, row: Place, column: Place, context: Context = None
    ) -> tuple[Float[Array, "n n_out"], Canvases]:
        """The raw outputs of one pixel, if `at` was called for all before; and the new canvases."""
        canvases = list(canvases)
        h = self.first.at(canvases[0], row, column)[:, None, None]
        for i, block in enumerate(self.blocks, 1):

            def spread(h: Array, i: int = i, conv: CausalConv = block.conv) -> Array:
                canvases[i] = conv.paint(canvases[i], h[:, 0, 0], row, column)
                return conv.at(canvases[i], row, column)[:, None, None]

            h = block(h, context, spread)
        return self._end(h)[:, 0, 0], canvases

    def _end(self, h: Image) -> Image:
        return self.last(self.activation(self.head(self.activation(h))))
