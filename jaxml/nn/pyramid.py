# SPDX-License-Identifier: Apache-2.0
"""Strided convolutions that halve and double the size of images, and networks made of them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.upsampling import upsample_nearest
from jaxml.nn.convolution import Conv, ConvTranspose
from jaxml.nn.mlp import MLP, Activation
from jaxml.nn.residual_image import ImageAttention

# 4x4 taps at stride 2: every output position reads equally many inputs, and 1 zero a side halves.
HALVE = {"window": (4, 4), "stride": 2, "padding": 1}
SAME = {"window": (3, 3), "padding": 1}


class Down(nnx.Module):
    """[Conv 4x4 stride 2, activation] for each entry of `channels`: the size halves each time.

    Args:
      n_in: channels of the image.
      channels: channels after each stage.
      attention: stages after which all positions see each other, by a gated `ImageAttention`.
      activation: follows every stage.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.
    """

    def __init__(
        self,
        n_in: int,
        channels: Sequence[int],
        *,
        attention: Sequence[int] = (),
        activation: Activation = jax.nn.silu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.activation = activation
        self.stages = nnx.List(
            Conv(a, b, **HALVE, dtype=dtype, rngs=rngs)
            for a, b in zip((n_in, *channels[:-1]), channels, strict=True)
        )
        self.attention = attend(channels, attention, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "n height width c"]) -> Float[Array, "n low_h low_w d"]:
        """The image at its lowest resolution."""
        for i, stage in enumerate(self.stages):
            x = self.activation(stage(x))
            x = attended(self.attention, i, x)
        return x


class Up(nnx.Module):
    """[activation, ConvTranspose 4x4 stride 2] for each entry of `channels`: the size doubles.

    Args:
      channels: channels before each stage.
      n_out: channels of the image.
      resize: repeat every position twice along both axes and take a Conv 3x3 in place of the
        transposed convolution.
      attention: stages before which all positions see each other, by a gated `ImageAttention`.
      activation: precedes every stage, so that the output is raw.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.
    """

    def __init__(
        self,
        channels: Sequence[int],
        n_out: int,
        *,
        resize: bool = False,
        attention: Sequence[int] = (),
        activation: Activation = jax.nn.silu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.activation, self.resize = activation, resize
        stage = partial(Conv, **SAME) if resize else partial(ConvTranspose, **HALVE)
        self.stages = nnx.List(
            stage(a, b, dtype=dtype, rngs=rngs)
            for a, b in zip(channels, (*channels[1:], n_out), strict=True)
        )
        self.attention = attend(channels, attention, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "n low_h low_w d"]) -> Float[Array, "n height width c"]:
        """The image at its highest resolution."""
        for i, stage in enumerate(self.stages):
            x = self.activation(x)
            x = attended(self.attention, i, x)
            x = stage(upsample_nearest(x, 2) if self.resize else x)
        return x


class ImageEncoder(nnx.Module):
    """Down, then an MLP with one hidden layer on the flattened features and the context.

    Args:
      shape: (height, width, channels) of the images; the size must halve evenly at every stage.
      channels: channels after each stage.
      width: hidden features of the MLP.
      n_out: features of the output.
      n_context: features of the context of a conditional model.
      attention: see `Down`.
      activation: of all hidden layers.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not halve evenly.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        channels: Sequence[int],
        width: int,
        n_out: int,
        *,
        n_context: int = 0,
        attention: Sequence[int] = (),
        activation: Activation = jax.nn.silu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        low = lowest(shape, len(channels))
        options = {"activation": activation, "dtype": dtype, "rngs": rngs}
        self.down = Down(shape[-1], channels, attention=attention, **options)
        n_flat = low[0] * low[1] * channels[-1]
        self.head = MLP(n_flat, [width], n_out, n_context=n_context, **options)

    def __call__(
        self,
        x: Float[Array, "n height width c"],
        context: Float[Array, "n n_context"] | None = None,
    ) -> Float[Array, "n n_out"]:
        """f(x), or f(x, context) in a conditional model."""
        return self.head(self.down(x).reshape(x.shape[0], -1), context)


class ImageDecoder(nnx.Module):
    """The mirror of `ImageEncoder`: an MLP onto the lowest resolution, then Up.

    Args:
      n_in: features of the input.
      width: hidden features of the MLP.
      channels: channels before each stage.
      shape: (height, width, channels) of the output, channels counting every head of a likelihood.
      n_context: features of the context of a conditional model.
      resize: how images grow, see `Up`.
      attention: see `Up`.
      activation: of all hidden layers.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not halve evenly.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        channels: Sequence[int],
        shape: tuple[int, int, int],
        *,
        n_context: int = 0,
        resize: bool = False,
        attention: Sequence[int] = (),
        activation: Activation = jax.nn.silu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.low = (*lowest(shape, len(channels)), channels[0])
        options = {"activation": activation, "dtype": dtype, "rngs": rngs}
        n_flat = self.low[0] * self.low[1] * self.low[2]
        self.head = MLP(n_in, [width], n_flat, n_context=n_context, **options)
        self.up = Up(channels, shape[-1], resize=resize, attention=attention, **options)

    def __call__(
        self, z: Float[Array, "n n_in"], context: Float[Array, "n n_context"] | None = None
    ) -> Float[Array, "n height width c"]:
        """f(z), or f(z, context) in a conditional model."""
        return self.up(self.head(z, context).reshape(-1, *self.low))


def attend(
    channels: Sequence[int],
    stages: Sequence[int],
    *,
    dtype: DTypeLike | None = None,
    rngs: nnx.Rngs,
) -> Any:  # an nnx.Dict, whose bases beartype calls deprecated
    """Gated attention for some stages, by name.

    Raises:
      ValueError: for a stage that is not there.
    """
    expect_stages(len(channels), stages)
    options = {"gated": True, "dtype": dtype, "rngs": rngs}
    return nnx.Dict({f"stage_{i}": ImageAttention(channels[i], **options) for i in stages})


def expect_stages(n: int, stages: Sequence[int]) -> None:
    """Refuse what is not among n stages.

    Raises:
      ValueError: for a stage that is not there.
    """
    for i in stages:
        if not 0 <= i < n:
            raise ValueError(f"attention: expected stages from 0 to {n - 1}, got {i}")


def attended(attention: Mapping[str, Any], stage: int, x: Array) -> Array:
    """The image after a stage's attention, if it has one."""
    name = f"stage_{stage}"
    return attention[name](x) if name in attention else x


def lowest(shape: tuple[int, int, int], n_stages: int) -> tuple[int, int]:
    """Height and width after halving `n_stages` times.

    Raises:
      ValueError: no stage, or a size that does not halve evenly.
    """
    height, width, _ = shape
    factor = 2**n_stages
    if n_stages < 1 or height % factor or width % factor:
        raise ValueError(f"channels: {height}x{width} images do not halve evenly {n_stages} times")
    return height // factor, width // factor
