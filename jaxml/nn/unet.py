# SPDX-License-Identifier: Apache-2.0
"""U-Nets on images: down to a low resolution and up again, with skips at every size on the way."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.nn.convolution import Conv
from jaxml.nn.normalization import GroupNorm
from jaxml.nn.residual_image import (
    Downsample,
    Image,
    ImageAttention,
    TimedResidualBlock,
    Upsample,
    groups_of,
)
from jaxml.nn.time import TimeEmbedding
from jaxml.types import Key

Context = Float[Array, "batch n_context"] | None


class Stage(nnx.Module):
    """A residual block, and attention behind it or none.

    Args:
      block: told the time.
      attention: an `ImageAttention` or None.
    """

    def __init__(self, block: TimedResidualBlock, attention: ImageAttention | None):
        self.block, self.attention = block, attention

    def __call__(self, x: Image, e: Array, key: Key | None) -> Image:
        """The image after both."""
        h = self.block(x, e, key=key)
        return h if self.attention is None else self.attention(h)


class UNet(nnx.Module):
    """f(x, t, c): residual blocks at halving sizes down, up again beside their outputs; 0 at first.

    Every level down has `n_blocks` blocks, every level up one more, and each block up reads what
    one block (or halving) down has made. The middle has two blocks and attention between them.
    `UNet((32, 32, 3), 128, scale=False, dropout=0.1)` is the network of DDPM on CIFAR-10, with its
    35 746 307 parameters.

    Args:
      shape: (height, width, channels) of x. Images of other sizes are read too, if they halve.
      width: channels at the first level. Time has as many waves, at least 64, and a vector of four
        times as many numbers.
      multipliers: channels of the levels over `width`; the size halves from each to the next.
      n_blocks: residual blocks of a level.
      attention: levels with attention behind every block, counted from 0, the finest.
      head_width: channels of a head of attention; one head has them all if None.
      n_out: channels of the output; those of x if None.
      n_context: features of c.
      scale: whether time scales channels as well as shifting them, see `TimedResidualBlock`.
      fastest: see `TimeEmbedding`.
      dropout: share of a block's units left out where a key is given.
      dtype: dtype of the computation; parameters stay float32. None takes that of x.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not fit, among them images that do not halve as often as there
        are levels to go down, and, when called, for a context that the network does not have.

    Reference: Ho et al. 2020, appendix B, arXiv:2006.11239; Dhariwal and Nichol 2021, section 3,
    arXiv:2105.05233.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        *,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        n_blocks: int = 2,
        attention: Sequence[int] = (1,),
        head_width: int | None = None,
        n_out: int | None = None,
        n_context: int = 0,
        scale: bool = True,
        fastest: float = 1000.0,
        dropout: float = 0.0,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        n_levels, n_in = len(multipliers), shape[-1]
        n_out = n_in if n_out is None else n_out
        if min(*shape, width, n_blocks, n_out, n_levels, *multipliers) < 1:
            raise ValueError(
                f"shape, width, multipliers, n_blocks, n_out: expected positive sizes, "
                f"got {shape}, {width}, {tuple(multipliers)}, {n_blocks}, {n_out}"
            )
        if any(level not in range(n_levels) for level in attention):
            raise ValueError(
                f"attention: expected levels from 0 to {n_levels - 1}, got {tuple(attention)}"
            )
        self.n_halvings = n_levels - 1
        self._check(shape)
        n_time, options = 4 * width, {"dtype": dtype, "rngs": rngs}
        n_waves = max(64, width - width % 2)
        self.time = TimeEmbedding(
            n_time, n_waves=n_waves, fastest=fastest, n_context=n_context, **options
        )

        def stage(n_in: int, n_out: int, attends: bool) -> Stage:
            block = TimedResidualBlock(n_in, n_out, n_time, scale=scale, dropout=dropout, **options)
            looks = ImageAttention(n_out, head_width=head_width, **options) if attends else None
            return Stage(block, looks)

        levels = [(level, width * m) for level, m in enumerate(multipliers)]
        self.first = Conv(n_in, width, (3, 3), padding=1, **options)
        n, skips, down, up = width, [width], [], []
        for level, channels in levels:
            for _ in range(n_blocks):
                down.append(stage(n, channels, level in attention))
                n = channels
                skips.append(n)
            if level < self.n_halvings:
                down.append(Downsample(n, **options))
                skips.append(n)
        middle = [stage(n, n, True), stage(n, n, False)]
        for level, channels in reversed(levels):
            for _ in range(n_blocks + 1):
                up.append(stage(n + skips.pop(), channels, level in attention))
                n = channels
            if level:
                up.append(Upsample(n, **options))
        self.down, self.middle, self.up = nnx.List(down), nnx.List(middle), nnx.List(up)
        self.norm = GroupNorm(n, groups_of(n))
        zeros = nnx.initializers.zeros_init()
        self.last = Conv(n, n_out, (3, 3), padding=1, kernel_init=zeros, **options)

    def __call__(
        self,
        x: Float[Array, "batch h w c"],
        t: Float[Array, "batch"],
        context: Context = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch h w n_out"]:
        """f for every image; without a key nothing is dropped."""
        self._check(x.shape[1:])
        e = jax.nn.silu(self.time(t, context))
        parts = itertools.count()

        def run(layer: Stage | Downsample | Upsample, h: Array) -> Array:
            if not isinstance(layer, Stage):
                return layer(h)
            own = None if key is None else jax.random.fold_in(key, next(parts))
            return layer(h, e, own)

        skips = [self.first(x)]
        for layer in self.down:
            skips.append(run(layer, skips[-1]))
        h = skips[-1]
        for layer in self.middle:
            h = run(layer, h)
        for layer in self.up:
            beside = isinstance(layer, Stage)
            h = run(layer, jnp.concatenate([h, skips.pop()], axis=-1) if beside else h)
        return self.last(jax.nn.silu(self.norm(h)))

    def _check(self, shape: Sequence[int]) -> None:
        height, width, _ = shape
        factor = 2**self.n_halvings
        if height % factor or width % factor:
            raise ValueError(
                f"shape: {height}x{width} images do not halve evenly {self.n_halvings} times"
            )
