# SPDX-License-Identifier: Apache-2.0
"""Pairs of networks to begin with."""

from collections.abc import Sequence

import jax
from flax import nnx

from jaxml.models.gan.model import GAN
from jaxml.nn import MLP
from jaxml.nn.mlp import Activation


def mlp(
    n: int,
    widths: Sequence[int],
    n_latent: int,
    *,
    n_context: int = 0,
    activation: Activation = jax.nn.silu,
    rngs: nnx.Rngs,
) -> GAN:
    """A GAN of two MLPs for flat data: n_latent-widths-n, and n-widths-1.

    Args:
      n: elements of x.
      widths: hidden features of both networks.
      n_latent: numbers of z.
      n_context: features of the context of a conditional GAN, one more input of both.
      activation: of the hidden layers; smooth, for penalties differentiate the critic twice.
      rngs: keys for initialization.

    Reference: Mirza and Osindero 2014, arXiv:1411.1784, for the context.
    """
    options = {"n_context": n_context, "activation": activation, "rngs": rngs}
    return GAN(MLP(n_latent, widths, n, **options), MLP(n, widths, 1, **options), n_latent)
