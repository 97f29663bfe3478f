# SPDX-License-Identifier: Apache-2.0
"""Diffusion transformers: an image as a sequence of patches, in blocks that time modulates."""

from typing import TypedDict

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.embedding import sinusoidal
from jaxml.layers.upsampling import pixel_shuffle, pixel_unshuffle
from jaxml.nn.time import TimeEmbedding
from jaxml.nn.transformer_block import AdaptiveNorm, TransformerStack
from jaxml.types import Key

Context = Float[Array, "batch n_context"] | None


class Size(TypedDict):
    """What grows from one published network to the next."""

    width: int
    n_layers: int
    n_heads: int


S: Size = {"width": 384, "n_layers": 12, "n_heads": 6}
"""DiT-S, 33 million parameters with patches of 2: `DiT(shape, 2, **dit.S, rngs=rngs)`."""
B: Size = {"width": 768, "n_layers": 12, "n_heads": 12}
"""DiT-B, 130 million."""
L: Size = {"width": 1024, "n_layers": 24, "n_heads": 16}
"""DiT-L, 458 million."""
XL: Size = {"width": 1152, "n_layers": 28, "n_heads": 16}
"""DiT-XL, 675 million."""


class DiT(nnx.Module):
    """f(x, t, c): patches + positions, adaLN-Zero blocks under one loop, patches; 0 at first.

    Positions are waves along both axes, computed when called, so that images of another size than
    that of training are read as well.

    Args:
      shape: (height, width, channels) of x.
      patch: pixels along the side of a patch. Half the side is four times the sequence.
      width: features of the residual stream, a multiple of 4.
      n_layers: blocks.
      n_heads: of each attention.
      n_out: channels of the output; those of x if None.
      n_context: features of c.
      fastest: see `TimeEmbedding`.
      normalize_qk: see `SelfAttention`.
      dropout: share of a branch's outputs left out where a key is given.
      remat: see `TransformerStack`.
      dtype: dtype of the computation; parameters stay float32. None takes that of x.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not fit, among them a patch that does not divide the image, and,
        when called, for a context that the network does not have.

    Reference: Peebles and Xie 2023, section 3.2 and table 1, arXiv:2212.09748.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        patch: int,
        width: int,
        n_layers: int,
        n_heads: int,
        *,
        n_out: int | None = None,
        n_context: int = 0,
        fastest: float = 1000.0,
        normalize_qk: bool = False,
        dropout: float = 0.0,
        remat: bool = False,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        rows, columns, n_in = shape
        n_out = n_in if n_out is None else n_out
        if min(*shape, n_out) < 1:
            raise ValueError(f"shape, n_out: expected positive sizes, got {shape}, {n_out}")
        if patch < 1 or rows % patch or columns % patch:
            raise ValueError(f"patch: expected a divisor of {rows} and {columns}, got {patch}")
        if width < 4 or width % 4:
            raise ValueError(f"width: expected a multiple of 4, got {width}")
        self.patch = patch
        zeros = nnx.initializers.zeros_init()
        options = {"dtype": dtype, "rngs": rngs}
        self.first = nnx.Linear(patch**2 * n_in, width, **options)
        self.time = TimeEmbedding(
            width, n_waves=256, fastest=fastest, n_context=n_context, **options
        )
        self.stack = TransformerStack(
            n_layers,
            width,
            n_heads,
            remat=remat,
            n_condition=width,
            normalize_qk=normalize_qk,
            dropout=dropout,
            **options,
        )
        self.norm = AdaptiveNorm(width, width, gated=False, **options)
        self.last = nnx.Linear(width, patch**2 * n_out, kernel_init=zeros, **options)

    def __call__(
        self,
        x: Float[Array, "batch h w c"],
        t: Float[Array, "batch"],
        context: Context = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch h w n_out"]:
        """f for every image; without a key nothing is dropped."""
        patches = patchify(x, self.patch)
        condition = jax.nn.silu(self.time(t, context))
        h = self.first(patches)
        rows, columns = (size // self.patch for size in x.shape[1:3])
        h = h + positions(rows, columns, like=h)
        h = self.stack(h, condition, key=key)
        return unpatchify(self.last(self.norm(h, condition)[0]), self.patch, rows)


def patchify(x: Float[Array, "batch h w c"], patch: int) -> Float[Array, "batch patches d"]:
    """Squares of `patch` pixels a side as vectors, row by row.

    Raises:
      ValueError: if they do not cover the image.
    """
    squares = pixel_unshuffle(x, patch)
    return squares.reshape(len(x), -1, squares.shape[-1])


def unpatchify(
    patches: Float[Array, "batch patches d"], patch: int, rows: int
) -> Float[Array, "batch h w c"]:
    """The inverse of `patchify` for an image of so many rows of patches."""
    n, _, d = patches.shape
    return pixel_shuffle(patches.reshape(n, rows, -1, d), patch)


def positions(
    rows: int, columns: int, *, like: Float[Array, "batch patches width"]
) -> Float[Array, "1 patches width"]:
    """Waves of the row in the first half of the features, waves of the column in the second."""
    d, wide = like.shape[-1] // 2, jnp.float32 if like.dtype.itemsize < 4 else like.dtype
    of_row, of_column = (sinusoidal(jnp.arange(n, dtype=wide), d) for n in (rows, columns))
    grid = jnp.concatenate(
        [
            jnp.broadcast_to(of_row[:, None], (rows, columns, d)),
            jnp.broadcast_to(of_column[None], (rows, columns, d)),
        ],
        axis=-1,
    )
    return grid.reshape(1, rows * columns, 2 * d).astype(like.dtype)
