# SPDX-License-Identifier: Apache-2.0
"""Energies of data against those of a model's own draws, and of data against known noise."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import softplus, widen_all

Each = Float[Array, "n"]


def contrastive_divergence(real: Each, fake: Each) -> Each:
    """E(x) − E(x̃): its gradient is that of −log p(x) where x̃ are draws of the model.

    Only the gradient means anything, and only in parameters, with x̃ held constant: the value is no
    distance and does not fall as the model gets better. Draws of few steps from data leave out how
    the steps themselves depend on the parameters.

    Args:
      real: energies of data, in nats.
      fake: energies of the model's draws, as many.

    Reference: Hinton 2002, Neural Computation 14, equation 5.
    """
    real, fake = widen_all(real, fake)
    return real - fake


def magnitude(real: Each, fake: Each) -> Each:
    """E(x)² + E(x̃)²; α times it keeps energies of both kinds from drifting off together.

    The constant of an energy is free, so that nothing in `contrastive_divergence` holds it. The
    penalty also shrinks differences of energies: the density becomes flatter than it should be.

    Args:
      real: energies of data.
      fake: energies of the model's draws, as many.

    Reference: Du and Mordatch 2019, section 3.2, arXiv:1903.08689, with α = 1; 0.1 is usual.
    """
    real, fake = widen_all(real, fake)
    return jnp.square(real) + jnp.square(fake)


def noise_contrastive(real: Each, fake: Each, *, ratio: float = 1.0) -> Each:
    """softplus(−G(x) + log ν) + ν softplus(G(x̃) − log ν), G = log p − log p_noise.

    At its minimum p is the density of the data, normalized: log Z is one more parameter of log p.
    Best where noise is like the data; far from it only the ratio is learned.

    Args:
      real: G of data, in nats.
      fake: G of draws of the noise.
      ratio: ν, how much likelier a draw of noise is than one of data. As many of both are given,
        and the second term is weighed with ν in place of more draws.

    Raises:
      ValueError: if the ratio is not positive.

    Reference: Gutmann and Hyvärinen 2012, equation 8, JMLR 13:307.
    """
    if not ratio > 0:
        raise ValueError(f"ratio: expected a positive number, got {ratio}")
    real, fake = widen_all(real, fake)
    log_ratio = jnp.log(jnp.asarray(ratio, real.dtype))
    return softplus(log_ratio - real) + ratio * softplus(fake - log_ratio)
