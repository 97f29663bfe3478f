# SPDX-License-Identifier: Apache-2.0
"""Gated PixelCNN: two stacks that together see every pixel before, at once or one by one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.nn.canvas import Place
from jaxml.nn.causal_conv import CausalConv
from jaxml.nn.mlp import Activation
from jaxml.nn.row_conv import RowConv

Image = Float[Array, "n height width _"]
Context = Float[Array, "n n_context"] | None


class Canvases(NamedTuple):
    """What is to be known of the pixels before, a part a block.

    Attributes:
      vertical: what the convolutions of the vertical stack have to read.
      horizontal: the same of the horizontal stack.
      linked: what the row above tells the horizontal stack.
    """

    vertical: list[Array]
    horizontal: list[Array]
    linked: list[Array]


class GatedBlock(nnx.Module):
    """v ← g(V ∗ v + A c) and h ← h + W₁ g(W ∗ h + U (V ∗ v)↓ + B c), g(a, b) = tanh(a) σ(b).

    V reads rows to both sides and W the own row to the left; ↓ moves an image down by one row, so
    that h learns of v what stands above.

    Args:
      n_in: channels of v and h.
      width: channels of the outputs.
      window: taps of V; W has as many columns.
      self_too: see `CausalConv`, of W.
      colours: see `CausalConv`; v holds whole rows and sees all colours.
      n_context: features of c.
      residual: whether h is added.
      dtype: dtype of the computation.
      rngs: keys for initialization; a residual W₁ begins at 0.

    Raises:
      ValueError: for a context that the block does not have or lacks, when called.

    Reference: van den Oord et al. 2016, figure 2 and equations 2 and 4, arXiv:1606.05328.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        window: tuple[int, int],
        *,
        self_too: bool = True,
        colours: int = 1,
        n_context: int = 0,
        residual: bool = True,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        options = {"dtype": dtype, "rngs": rngs}
        self.residual = residual
        self.vertical = RowConv(n_in, 2 * width, window, **options)
        self.horizontal = CausalConv(
            n_in, 2 * width, (1, window[1]), self_too=self_too, colours=colours, **options
        )
        self.link = nnx.Linear(2 * width, 2 * width, use_bias=False, **options)
        self.last = CausalConv(width, width, (1, 1), colours=colours, **options)
        if residual:
            self.last.kernel.set_value(jnp.zeros_like(self.last.kernel[...]))
        self.told = nnx.List(
            nnx.Linear(n_context, 2 * width, use_bias=False, **options)
            for _ in range(2 if n_context else 0)
        )

    def down(self, v: Image, context: Context) -> Image:
        """The vertical stack's output, of its convolution."""
        return gate(v + self._shift(0, context, v.ndim))

    def across(self, h: Image, spread: Image, linked: Image, context: Context) -> Image:
        """The horizontal stack's output, of its input, its convolution, and the row above."""
        y = self.last(gate(spread + linked + self._shift(1, context, spread.ndim)))
        return h + y if self.residual else y

    def _shift(self, i: int, context: Context, ndim: int) -> Array | float:
        if bool(self.told) != (context is not None):
            has = "a context" if self.told else "no context"
            raise ValueError(f"context: the network was built for {has}")
        if context is None:
            return 0.0
        told = self.told[i](context)
        return told.reshape(len(told), *(1,) * (ndim - 2), -1)


class GatedPixelCNN(nnx.Module):
    """raw(x, c): a block with a 7 × 7 window and mask A, blocks of 3 × 3, and two of one tap.

    The output for a colour of a pixel depends on rows above, on pixels to the left and on colours
    before it, and on nothing else; with enough blocks, on all of these: there is no blind spot.

    Args:
      shape: (height, width, colours) of the images.
      width: channels of both stacks.
      n_blocks: how many behind the first.
      n_out: raw numbers of a pixel.
      joint: see `PixelCNN`.
      first: taps of the first window.
      window: taps of the others.
      n_context: features of c.
      activation: of the last two layers.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes below 1, and where the colours do not divide the channels.

    Reference: van den Oord et al. 2016, section 2, arXiv:1606.05328.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        n_blocks: int,
        n_out: int,
        *,
        joint: bool = False,
        first: tuple[int, int] = (7, 7),
        window: tuple[int, int] = (3, 3),
        n_context: int = 0,
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        sizes = {"shape": min(shape), "width": width, "n_blocks": n_blocks, "n_out": n_out}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}: expected positive sizes, got {size}")
        self.shape, self.n_out, self.activation = shape, n_out, activation
        self.n_groups = 1 if joint else shape[-1]
        options = {"colours": self.n_groups, "dtype": dtype, "rngs": rngs}
        block = {"n_context": n_context, **options}
        self.blocks = nnx.List(
            [GatedBlock(shape[-1], width, first, self_too=False, residual=False, **block)]
        )
        self.blocks.extend(GatedBlock(width, width, window, **block) for _ in range(n_blocks))
        self.head = CausalConv(width, width, (1, 1), **options)
        self.last = CausalConv(width, n_out, (1, 1), **options)

    def __call__(self, x: Image, context: Context = None) -> Image:
        """The raw outputs of every pixel."""
        v = h = x
        for block in self.blocks:
            spread = block.vertical(v)
            linked = jnp.pad(block.link(spread)[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
            h = block.across(h, block.horizontal(h), linked, context)
            v = block.down(spread, context)
        return self._end(h)

    def canvases(self, n: int) -> Canvases:
        """What n images are drawn on."""
        height, width, _ = self.shape
        vertical = [block.vertical.canvas(n, height, width) for block in self.blocks]
        horizontal = [block.horizontal.canvas(n, 1, width) for block in self.blocks]
        linked = [
            jnp.zeros((n, width, block.link.out_features), canvas.dtype)
            for block, canvas in zip(self.blocks, vertical, strict=True)
        ]
        return Canvases(vertical, horizontal, linked)

    def paint(
        self, canvases: Canvases, x: Float[Array, "n _"], row: Place, column: Place
    ) -> Canvases:
        """The canvases when the colours of one pixel are known."""
        vertical, horizontal, linked = canvases
        first = self.blocks[0]
        painted = first.vertical.paint(vertical[0], x[:, None], row, column)
        beside = first.horizontal.paint(horizontal[0], x, 0, column)
        return Canvases([painted, *vertical[1:]], [beside, *horizontal[1:]], linked)

    def at(
        self, canvases: Canvases, row: Place, column: Place, context: Context = None
    ) -> tuple[Float[Array, "n n_out"], Canvases]:
        """The raw outputs of one pixel, if `at` was called for all before; and the new canvases."""

        def begun(canvases: Canvases) -> Canvases:
            return self._row(canvases, row - 1, context)

        # The vertical stack goes on by whole rows: the row above is whole when a row begins.
        start = jnp.logical_and(row > 0, column == 0)
        canvases = jax.lax.cond(start, begun, lambda canvases: canvases, canvases)
        horizontal = list(canvases.horizontal)
        h = horizontal[0][:, :1, :1]  # not added by the first block
        for i, block in enumerate(self.blocks):
            if i:
                horizontal[i] = block.horizontal.paint(horizontal[i], h[:, 0, 0], 0, column)
            spread = block.horizontal.at(horizontal[i], 0, column)[:, None, None]
            linked = jnp.take(canvases.linked[i], column, axis=1)[:, None, None]
            h = block.across(h, spread, linked, context)
        return self._end(h)[:, 0, 0], canvases._replace(horizontal=horizontal)

    def _row(self, canvases: Canvases, row: Place, context: Context) -> Canvases:
        """What a whole row tells the next."""
        vertical, linked = list(canvases.vertical), []
        for i, block in enumerate(self.blocks):
            spread = block.vertical.at(vertical[i], row)
            linked.append(block.link(spread).astype(canvases.linked[i].dtype))
            v = block.down(spread[:, None], context)[:, 0]
            if i + 1 < len(vertical):
                vertical[i + 1] = self.blocks[i + 1].vertical.paint(vertical[i + 1], v, row, 0)
        # The last row stays on the horizontal canvases: what is not yet painted over is masked.
        return Canvases(vertical, canvases.horizontal, linked)

    def _end(self, h: Image) -> Image:
        return self.last(self.activation(self.head(self.activation(h))))


def gate(x: Float[Array, "*n twice"]) -> Float[Array, "*n once"]:
    """tanh(a) σ(b), a and b the halves of the channels."""
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.tanh(a) * jax.nn.sigmoid(b)
