# SPDX-License-Identifier: Apache-2.0
"""The probability of an image as a product over its pixels, each given those read before it."""

import math
from typing import Any, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float

from jaxml.models.autoregressive.pixel.law import Law
from jaxml.models.condition import Context, unpack
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Scalar

Images = Float[Array, "n height width colours"]


@runtime_checkable
class PixelNetwork(Protocol):
    """A causal network on images, such as `jaxml.nn.PixelCNN`.

    Attributes:
      shape: (height, width, colours) of the images.
      n_out: raw numbers of a pixel.
      n_groups: groups of colours that are predicted one after another.
    """

    shape: tuple[int, int, int]
    n_out: int
    n_groups: int

    def __call__(self, x: Any, context: Any = None) -> Array:
        """Raw outputs `n height width n_out`, each from pixels and colours before its own."""
        ...

    def canvases(self, n: int) -> Any:
        """What n images are drawn on."""
        ...

    def paint(self, canvases: Any, x: Any, row: Any, column: Any) -> Any:
        """The canvases when the colours of one pixel are known."""
        ...

    def at(self, canvases: Any, row: Any, column: Any, context: Any = None) -> tuple[Array, Any]:
        """The raw outputs of one pixel, and the new canvases."""
        ...


class PixelModel(nnx.Module):
    """p(x) = Π p(x_i | x_<i), row by row, in a row from left to right, colour by colour.

    Args:
      network: see `PixelNetwork`; it reads x as it is.
      law: of the colours of a pixel, from its raw outputs.

    Raises:
      ValueError: if the network does not give the law its numbers.

    Reference: van den Oord, Kalchbrenner and Kavukcuoglu 2016, equations 1 and 2, arXiv:1601.06759.
    """

    def __init__(self, network: PixelNetwork, law: Law):
        asked, given = (law.n_out, law.n_groups), (network.n_out, network.n_groups)
        if asked != given:
            raise ValueError(f"network: expected {asked} outputs and groups a pixel, got {given}")
        self.network, self.law = network, law


def loss(model: PixelModel, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−log p(x), in nats an image.

    Args:
      model: the model.
      batch: x, or `{"x": x, "y": context}` for a conditional model.
      key: not used.
    """
    del key
    x, context = unpack(batch)
    value = -log_prob(model, x, context=context).mean()
    size = math.prod(model.network.shape)
    return value, {"bits_per_dim": value / (size * math.log(2))}


def log_prob(model: PixelModel, x: Images, *, context: Context = None) -> Float[Array, "n"]:
    """log p(x) in nats an image; exact.

    Args:
      model: the model.
      x: images.
      context: a row an image.
    """
    return log_prob_by_pixel(model, x, context=context).sum((1, 2, 3))


def log_prob_by_pixel(
    model: PixelModel, x: Images, *, context: Context = None
) -> Float[Array, "n height width groups"]:
    """log p(x_i | x_<i) of every pixel, by groups of colours, in nats.

    Args:
      model: the model.
      x: images.
      context: a row an image.

    Raises:
      ValueError: if the images have another shape than the network's.
    """
    if x.shape[1:] != model.network.shape:
        raise ValueError(f"x: expected images of shape {model.network.shape}, got {x.shape[1:]}")
    x = widen(x)
    return model.law.log_prob(x, widen(model.network(x, context)))
