# SPDX-License-Identifier: Apache-2.0
"""What U-Nets are made of: residual blocks that are told a time, attention, halving, doubling."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.dropout import dropout as drop
from jaxml.layers.upsampling import upsample_nearest
from jaxml.nn.attention import SelfAttention
from jaxml.nn.convolution import Conv
from jaxml.nn.normalization import GroupNorm
from jaxml.types import Key

Image = Float[Array, "batch h w _"]


def groups_of(channels: int) -> int:
    """The largest divisor of the channels up to min(32, channels/4).

    32 groups where the papers have them, and fewer in a small network: with one channel a group
    every channel would lose its mean.

    Reference: at least four channels a group, as in the published code of Karras et al. 2022,
    arXiv:2206.00364.
    """
    most = max(1, min(32, channels // 4))
    return max(n for n in range(1, most + 1) if channels % n == 0)


class TimedResidualBlock(nnx.Module):
    """s(x) + W₂ ∗ a((1 + γ) GN(W₁ ∗ a(GN(x))) + β), with (γ, β) an affine map of the time's e.

    W₁ and W₂ have 3 × 3 taps, a is SiLU, s a convolution of one tap where the channels change.

    Args:
      n_in: channels of x.
      n_out: channels of the output.
      n_time: numbers of e.
      scale: whether time scales; otherwise it shifts alone, before the second normalization:
        GN(W₁ ∗ … + β).
      dropout: share of units left out before W₂ where a key is given.
      dtype: dtype of the computation.
      rngs: keys for initialization; W₂ begins at 0.

    Raises:
      ValueError: for a dropout outside of [0, 1).

    Reference: Ho et al. 2020, appendix B, arXiv:2006.11239, which shifts; scales: Dhariwal and
    Nichol 2021, section 3, arXiv:2105.05233.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_time: int,
        *,
        scale: bool = True,
        dropout: float = 0.0,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), got {dropout}")
        self.scale, self.dropout = scale, dropout
        zeros = nnx.initializers.zeros_init()
        same = {"window": (3, 3), "padding": 1, "dtype": dtype, "rngs": rngs}
        self.first_norm, self.second_norm = (GroupNorm(n, groups_of(n)) for n in (n_in, n_out))
        self.first = Conv(n_in, n_out, **same)
        self.modulation = nnx.Linear(n_time, (1 + scale) * n_out, dtype=dtype, rngs=rngs)
        self.second = Conv(n_out, n_out, kernel_init=zeros, **same)
        self.skip = None if n_in == n_out else Conv(n_in, n_out, (1, 1), dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Image, e: Float[Array, "batch n_time"], *, key: Key | None = None
    ) -> Image:
        """The image after the block; without a key nothing is dropped."""
        h = self.first(jax.nn.silu(self.first_norm(x)))
        of_time = self.modulation(e)[:, None, None]
        if self.scale:
            scale, shift = jnp.split(of_time, 2, axis=-1)
            h = (1 + scale) * self.second_norm(h) + shift
        else:
            h = self.second_norm(h + of_time)
        h = jax.nn.silu(h)
        if key is not None:
            h = drop(h, key, self.dropout)
        return (x if self.skip is None else self.skip(x)) + self.second(h)


class ImageAttention(nnx.Module):
    """x + γ W_o attention(GN(x)) over all positions of an image.

    Args:
      n: channels of x.
      head_width: channels of a head; one head has them all if None.
      gated: whether γ is a parameter that begins at 0; otherwise γ = 1, and W_o begins at 0. Under
        spectral normalization a layer of zeros has no direction, and needs the gate.
      dtype: dtype of the computation.
      rngs: keys for initialization; the layer begins as the identity.

    Raises:
      ValueError: if the heads do not share the channels evenly.

    Reference: Ho et al. 2020, appendix B, arXiv:2006.11239; heads of 64 channels: Dhariwal and
    Nichol 2021, section 3, arXiv:2105.05233; the gate: Zhang et al. 2019, equation 3,
    arXiv:1805.08318, there without a norm.
    """

    def __init__(
        self,
        n: int,
        *,
        head_width: int | None = None,
        gated: bool = False,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        head_width = n if head_width is None else head_width
        if head_width < 1 or n % head_width:
            raise ValueError(f"head_width: expected a divisor of {n} channels, got {head_width}")
        start = nnx.initializers.lecun_normal() if gated else nnx.initializers.zeros_init()
        self.norm = GroupNorm(n, groups_of(n))
        self.attention = SelfAttention(n, n // head_width, out_init=start, dtype=dtype, rngs=rngs)
        self.gate = nnx.Param(jnp.zeros(())) if gated else None

    def __call__(self, x: Image) -> Image:
        """The image after it has looked at itself."""
        n, *_, c = x.shape
        seen = self.attention(self.norm(x).reshape(n, -1, c)).reshape(x.shape)
        return x + (seen if self.gate is None else self.gate[...].astype(x.dtype) * seen)


class Downsample(nnx.Module):
    """Half the size: a convolution of 3 × 3 taps at stride 2.

    Args:
      n: channels, kept.
      dtype: dtype of the computation.
      rngs: keys for initialization.
    """

    def __init__(self, n: int, *, dtype: DTypeLike | None = None, rngs: nnx.Rngs):
        self.conv = Conv(n, n, (3, 3), stride=2, padding=1, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "batch h w c"]) -> Float[Array, "batch low_h low_w c"]:
        """The smaller image."""
        return self.conv(x)


class Upsample(nnx.Module):
    """Twice the size: every pixel four times, and a convolution of 3 × 3 taps.

    No position of the output reads more taps than another, so that no kernel draws a checkerboard.

    Args:
      n: channels, kept.
      dtype: dtype of the computation.
      rngs: keys for initialization.

    Reference: Odena, Dumoulin and Olah 2016, doi:10.23915/distill.00003.
    """

    def __init__(self, n: int, *, dtype: DTypeLike | None = None, rngs: nnx.Rngs):
        self.conv = Conv(n, n, (3, 3), padding=1, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "batch h w c"]) -> Float[Array, "batch high_h high_w c"]:
        """The larger image."""
        return self.conv(upsample_nearest(x, 2))
