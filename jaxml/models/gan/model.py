# SPDX-License-Identifier: Apache-2.0
"""The two networks of a GAN, and draws from its generator."""

from collections.abc import Callable

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxml.models.condition import Context
from jaxml.numerics import widen
from jaxml.types import Key


class GAN(nnx.Module):
    """x = G(z, c) for z from N(0, I), and a critic's score D(x, c).

    Args:
      generator: `(z, context) -> x`.
      critic: `(x, context) -> scores`, one an example, `(batch,)` or `(batch, 1)`; for penalties on
        its slopes the score of an example must not depend on others, so no batch normalization.
      n_latent: numbers of z.

    Raises:
      ValueError: for less than one latent number.

    Reference: Goodfellow et al. 2014, arXiv:1406.2661.
    """

    def __init__(
        self, generator: Callable[..., Array], critic: Callable[..., Array], n_latent: int
    ):
        if n_latent < 1:
            raise ValueError(f"n_latent: expected at least 1, got {n_latent}")
        self.generator, self.critic, self.n_latent = generator, critic, n_latent


def generate(
    model: GAN, z: Float[Array, "batch n_latent"], context: Context = None
) -> Float[Array, "batch *event"]:
    """G(z, c)."""
    return widen(model.generator(z, context))


def sample(
    model: GAN, key: Key, n: int, *, context: Context = None, truncation: float | None = None
) -> Float[Array, "n *event"]:
    """n draws.

    Args:
      model: the model.
      key: for z.
      n: how many.
      context: a row a draw.
      truncation: draw z from N(0, I) within ± this number: fewer kinds of better examples.

    Raises:
      ValueError: for a truncation that is not positive.

    Reference: Brock et al. 2019, section 3.1, arXiv:1809.11096, for the truncation.
    """
    shape = (n, model.n_latent)
    if truncation is None:
        return generate(model, jax.random.normal(key, shape), context)
    if not truncation > 0:
        raise ValueError(f"truncation: expected a positive number, got {truncation}")
    return generate(
        model, jax.random.truncated_normal(key, -truncation, truncation, shape), context
    )


def score(
    model: GAN, x: Float[Array, "batch *event"], context: Context = None
) -> Float[Array, "batch"]:
    """D(x, c).

    Raises:
      ValueError: if the critic does not give one score an example.
    """
    scores = widen(model.critic(x, context))
    if scores.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(f"critic: expected one score an example, got {scores.shape}")
    return scores.reshape(len(x))
