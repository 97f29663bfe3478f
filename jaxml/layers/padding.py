# SPDX-License-Identifier: Apache-2.0
"""What to put around an image, other than zeros: each function takes `(data, margins)`.

For [a, b, c] and two on each side: `reflect` [c, b, a, b, c, b, a], `symmetric`
[b, a, a, b, c, c, b], `edge` [a, a, a, b, c, c, c], `circular` [b, c, a, b, c, a, b]. Pad first,
convolve `valid` then.
"""

import jax.numpy as jnp
from jaxtyping import Float

from jaxml.layers.convolution_geometry import Margins
from jaxml.types import Array


def reflect(x: Float[Array, "n *size c"], sides: Margins) -> Float[Array, "n *new_size c"]:
    """The image in a mirror that stands on its last element, which is not repeated.

    Args:
      x: data, channels last.
      sides: how many before and after, for each spatial axis.

    Raises:
      ValueError: if `sides` does not fit the axes, or is as long as one of them.
    """
    return _pad(x, sides, "reflect", reach=-1)


def symmetric(x: Float[Array, "n *size c"], sides: Margins) -> Float[Array, "n *new_size c"]:
    """The image in a mirror that stands behind its last element, which is repeated.

    Args:
      x: data, channels last.
      sides: how many before and after, for each spatial axis.

    Raises:
      ValueError: if `sides` does not fit the axes, or is longer than one of them.
    """
    return _pad(x, sides, "symmetric", reach=0)


def edge(x: Float[Array, "n *size c"], sides: Margins) -> Float[Array, "n *new_size c"]:
    """The last element, again and again.

    Args:
      x: data, channels last.
      sides: how many before and after, for each spatial axis.

    Raises:
      ValueError: if `sides` does not fit the axes.
    """
    return _pad(x, sides, "edge", reach=None)


def circular(x: Float[Array, "n *size c"], sides: Margins) -> Float[Array, "n *new_size c"]:
    """The other end of the image: with it a convolution of stride 1 moves as its input moves.

    Args:
      x: data, channels last.
      sides: how many before and after, for each spatial axis.

    Raises:
      ValueError: if `sides` does not fit the axes, or is longer than one of them.
    """
    return _pad(x, sides, "wrap", reach=0)


def _pad(x: Array, sides: Margins, mode: str, reach: int | None) -> Array:
    size = x.shape[1:-1]
    if len(sides) != len(size) or min((min(pair) for pair in sides), default=0) < 0:
        raise ValueError(f"sides: expected a pair for each of {len(size)} axes, got {sides}")
    if reach is not None:
        for n, pair in zip(size, sides, strict=True):
            if max(pair) > n + reach:
                raise ValueError(f"sides: {pair} reaches beyond an axis of length {n}")
    return jnp.pad(x, [(0, 0), *sides, (0, 0)], mode=mode)
