# SPDX-License-Identifier: Apache-2.0
"""Images drawn pixel by pixel: what each layer knows is kept on a canvas and not computed again."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxml.models.autoregressive.pixel.model import Images, PixelModel
from jaxml.models.condition import Context
from jaxml.numerics import widen
from jaxml.types import Key


def sample(
    model: PixelModel,
    key: Key,
    n: int,
    *,
    context: Context = None,
    known: Float[Array, "_ height width colours"] | None = None,
    mask: Bool[Array, "height width"] | None = None,
) -> Images:
    """n draws of x ~ p(x); see `sample_and_log_prob`."""
    return sample_and_log_prob(model, key, n, context=context, known=known, mask=mask)[0]


def sample_and_log_prob(
    model: PixelModel,
    key: Key,
    n: int,
    *,
    context: Context = None,
    known: Float[Array, "_ height width colours"] | None = None,
    mask: Bool[Array, "height width"] | None = None,
) -> tuple[Images, Float[Array, "n"]]:
    """x_i ~ p(x_i | x_<i) for every pixel in the order of reading, and log p(x) in nats.

    With some pixels known the others are drawn given what was read before them: an upper half is
    completed exactly, while pixels that come later than a gap have no say in how it is filled.

    Args:
      model: the model.
      key: group k of pixel i draws from `fold_in(fold_in(key, i), k)`.
      n: how many.
      context: a row a draw.
      known: images of which some pixels are given.
      mask: True where they are; all draws share it.

    Returns:
      The images, and log p of each, of all of its pixels.

    Raises:
      ValueError: if only one of `known` and `mask` is given, or their shapes do not fit.

    Reference: Ramachandran et al. 2017, section 2, arXiv:1704.06001, for what is kept.
    """
    height, width, colours = model.network.shape
    groups = model.law.n_groups
    if (known is None) != (mask is None):
        raise ValueError("known, mask: expected both or neither")
    if known is None or mask is None:
        known = jnp.zeros((n, height, width, colours))
        mask = jnp.zeros((height, width), bool)
    if known.shape != (n, height, width, colours) or mask.shape != (height, width):
        raise ValueError(
            f"known, mask: expected {n} images of shape {model.network.shape} and a mask of their "
            f"pixels, got {known.shape} and {mask.shape}"
        )
    known = widen(known)

    def one_pixel(carry, i):
        canvases, total = carry
        row, column = i // width, i % width
        x = jnp.zeros((n, colours), known.dtype)
        given, keep = known[:, row, column], mask[row, column]
        pixel_key = jax.random.fold_in(key, i)
        for k in range(groups):
            raw, canvases = model.network.at(canvases, row, column, context)
            raw = widen(raw)
            drawn = model.law.sample(raw, jax.random.fold_in(pixel_key, k)).astype(x.dtype)
            mine = jnp.arange(colours) % groups == k
            x = jnp.where(mine[None], jnp.where(keep, given, drawn), x)
            total = total + model.law.log_prob(x, raw)[:, k].astype(total.dtype)
            canvases = model.network.paint(canvases, x, row, column)
        return (canvases, total), x

    start = model.network.canvases(n), jnp.zeros(n, known.dtype)
    (_, total), pixels = jax.lax.scan(one_pixel, start, jnp.arange(height * width))
    return jnp.moveaxis(pixels, 0, 1).reshape(n, height, width, colours), total
