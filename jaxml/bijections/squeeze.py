# SPDX-License-Identifier: Apache-2.0
"""Space into channels and back: how image flows change resolution."""

from functools import cache

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.bijections.bijection import Bijection
from jaxml.layers.upsampling import pixel_shuffle, pixel_unshuffle


@cache
def squeeze(factor: int = 2) -> Bijection:
    """f × f pixels of c channels as one pixel of cf² channels; log-determinant 0.

    Images are `*batch height width channels`; both sizes must be multiples of f.

    Args:
      factor: f.

    Raises:
      ValueError: if it is below 2, or, when called, if it does not divide the sizes.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, section 3.6, arXiv:1605.08803.
    """
    if factor < 2:
        raise ValueError(f"factor: expected at least 2, got {factor}")

    def move(function):
        def map_(x: Float[Array, "*batch h w c"], params: tuple[()] = ()):
            *batch, _, _, _ = x.shape
            y = function(x.reshape(-1, *x.shape[-3:]), factor)
            return y.reshape(*batch, *y.shape[1:]), jnp.zeros(tuple(batch), x.dtype)

        return map_

    return Bijection(move(pixel_unshuffle), move(pixel_shuffle), 3)


def split(x: Float[Array, "*shape c"]) -> tuple[Float[Array, "*shape _"], Float[Array, "*shape _"]]:
    """The first c − ⌊c/2⌋ channels and the others: one half is done, one goes on."""
    half = x.shape[-1] - x.shape[-1] // 2
    return x[..., :half], x[..., half:]


def join(
    first: Float[Array, "*shape _"], second: Float[Array, "*shape _"]
) -> Float[Array, "*shape c"]:
    """What `split` has parted."""
    return jnp.concatenate([first, second], -1)
