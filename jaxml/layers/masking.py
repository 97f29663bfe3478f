# SPDX-License-Identifier: Apache-2.0
"""Which input an output may see: orders of autoregressive networks, halves of coupling layers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.types import Array, Key

Mask = np.ndarray
"""A constant of booleans, made from static sizes when a network is called."""


def made_degrees(order: Sequence[int], widths: Sequence[int]) -> list[np.ndarray]:
    """m⁰ = order, mˡ(k) cycling through 1 … D − 1: how much of the order a unit may know.

    Cycling in place of drawing gives every degree to as many units as any other.

    Args:
      order: the place of each input in the factorization, a permutation of 1 … D.
      widths: hidden units, one number a layer.

    Raises:
      ValueError: if `order` is no permutation of 1 … D, or a width is not positive.

    Reference: Germain et al. 2015, section 4, arXiv:1502.03509.
    """
    if sorted(order) != list(range(1, len(order) + 1)):
        raise ValueError(f"order: expected a permutation of 1 to {len(order)}, got {tuple(order)}")
    if min(widths, default=1) < 1:
        raise ValueError(f"widths: expected positive numbers, got {tuple(widths)}")
    top = max(len(order) - 1, 1)
    return [np.asarray(order), *(np.arange(width) % top + 1 for width in widths)]


def made_masks(order: Sequence[int], widths: Sequence[int]) -> list[Mask]:
    """Mˡ[i, j] = mˡ⁻¹(i) ≤ mˡ(j) for hidden units, and m(i) < order(j) for the output.

    A product of these masks is positive exactly where input i comes before output j in the order.

    Args:
      order: see `made_degrees`.
      widths: see `made_degrees`.

    Returns:
      One mask a layer, inputs in rows and outputs in columns as a kernel has them.

    Reference: Germain et al. 2015, equations 12 and 13, arXiv:1502.03509.
    """
    return degree_masks(made_degrees(order, widths))


def drawn_degrees(key: Key, n: int, widths: Sequence[int], *, shuffle: bool = True) -> list[Array]:
    """m⁰ a permutation of 1 … D, mˡ(k) uniform on min mˡ⁻¹, …, D − 1: another network each time.

    Trained under one draw after the other, a network serves every order and every connectivity.

    Args:
      key: for the draw.
      n: D.
      widths: hidden units, one number a layer.
      shuffle: draw the order too, which is 1 … D otherwise.

    Reference: Germain et al. 2015, section 4, arXiv:1502.03509.
    """
    keys = jax.random.split(key, len(widths) + 1)
    order = jnp.arange(1, n + 1, dtype=jnp.int32)
    degrees = [jax.random.permutation(keys[0], order) if shuffle else order]
    for own, width in zip(keys[1:], widths, strict=True):
        least = degrees[-1].min()
        degrees.append(jax.random.randint(own, (width,), least, jnp.int32(max(n, 2)), jnp.int32))
    return degrees


def degree_masks(degrees: Sequence[Any]) -> list[Any]:
    """The masks of `made_masks` for degrees of the inputs and of every hidden layer.

    Args:
      degrees: as `made_degrees` and `drawn_degrees` give them, constants or traced.
    """
    masks = [a[:, None] <= b[None] for a, b in pairwise(degrees)]
    return [*masks, degrees[-1][:, None] < degrees[0][None]]


def pixel_cnn(
    window: Sequence[int], n_in: int, n_out: int, *, self_too: bool, colours: int = 1
) -> Mask:
    """What a kernel may read: rows above, pixels to the left, colours before at its own pixel.

    Mask A (`self_too=False`), for the first layer, hides a colour from itself; mask B shows it.
    Channels belong to colours in turn: channel k to colour k mod `colours`.

    Args:
      window: odd numbers of taps.
      n_in: channels of the input.
      n_out: channels of the output.
      self_too: whether a colour of the own pixel sees itself.
      colours: groups into which the channels fall.

    Raises:
      ValueError: if the window is even or the colours do not divide the channels.

    Reference: van den Oord et al. 2016, section 3.4, arXiv:1601.06759.
    """
    if any(k % 2 == 0 for k in window):
        raise ValueError(f"window: expected odd numbers, got {tuple(window)}")
    if colours < 1 or n_in % colours or n_out % colours:
        raise ValueError(f"colours: expected a divisor of {n_in} and {n_out}, got {colours}")
    place = np.arange(int(np.prod(window))).reshape(*window, 1, 1)
    centre = place.size // 2
    a, b = np.arange(n_in)[:, None] % colours, np.arange(n_out)[None] % colours
    own = a <= b if self_too else a < b
    return (place < centre) | ((place == centre) & own)


def checkerboard(size: Sequence[int], *, odd: bool = False) -> Mask:
    """(Σ positions) mod 2 = 0: every second position, so that neighbours see each other.

    Args:
      size: spatial sizes.
      odd: the other half.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, section 3.4, arXiv:1605.08803.
    """
    total = sum(np.indices(tuple(size)))
    return np.asarray(total) % 2 == int(odd)


def first_half(n: int, *, second: bool = False) -> Mask:
    """The first n − ⌊n/2⌋ of n channels.

    Args:
      n: channels.
      second: the others.

    Reference: Dinh, Krueger and Bengio 2015, section 4.1, arXiv:1410.8516.
    """
    return (np.arange(n) < n - n // 2) != second
