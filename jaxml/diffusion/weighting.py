# SPDX-License-Identifier: Apache-2.0
"""How much an error counts at a noise level: factors of |ε − ε̂|² as functions of the log-SNR λ.

x_t ties the errors of x_0 and ε together: α (x_0 − x̂_0) = −σ (ε − ε̂). A factor w of |ε − ε̂|² is a
factor w e^λ of |x_0 − x̂_0|².
"""

import math
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.schedule import Schedule

Level = Float[Array, "*t"]
Weighting = Callable[[Level], Level]
"""`λ -> w(λ)`, the factor of |ε − ε̂|²."""


def simple(log_snr: Level) -> Level:
    """1. Reference: Ho et al. 2020, equation 14, arXiv:2006.11239."""
    return jnp.ones_like(log_snr)


def of_x0(log_snr: Level) -> Level:
    """e^−λ: the plain |x_0 − x̂_0|²."""
    return jnp.exp(-log_snr)


@cache
def min_snr(limit: float = 5.0) -> Weighting:
    """min(e^λ, γ) of |x_0 − x̂_0|², which is min(1, γ e^−λ): almost clean images count less.

    Args:
      limit: γ.

    Raises:
      ValueError: if it is not positive.

    Reference: Hang et al. 2023, section 3.4, arXiv:2303.09556.
    """
    if not limit > 0:
        raise ValueError(f"limit: expected a positive number, got {limit}")
    return lambda log_snr: jnp.exp(jnp.minimum(math.log(limit) - log_snr, 0.0))


@cache
def edm(sigma_data: float = 0.5) -> Weighting:
    """(σ² + σ_d²)/(σ σ_d)² of |x_0 − x̂_0|², which is 1 + e^−λ/σ_d², and 1 of what the network says.

    Args:
      sigma_data: σ_d.

    Raises:
      ValueError: if it is not positive.

    Reference: Karras et al. 2022, table 1, arXiv:2206.00364.
    """
    if not sigma_data > 0:
        raise ValueError(f"sigma_data: expected a positive number, got {sigma_data}")
    return lambda log_snr: 1 + jnp.exp(-log_snr) / sigma_data**2


@cache
def sigmoid(bias: float = 2.0) -> Weighting:
    """σ(b − λ) beside −dλ/dt, as `vlb` has it: rises with t, so that the loss still is a bound.

    Args:
      bias: b; larger ones give fine detail more weight.

    Reference: Kingma and Gao 2023, arXiv:2303.00848.
    """
    return lambda log_snr: jax.nn.sigmoid(bias - log_snr)


def vlb(schedule: Schedule, t: Level) -> Level:
    """−½ dλ/dt: with t uniform in [0, 1] the loss is the diffusion part of −log p(x_0), in nats.

    Args:
      schedule: λ; its ends matter, the way between them does not.
      t: times.

    Reference: Kingma et al. 2021, equation 17, arXiv:2107.00630.
    """
    return -0.5 * jax.jvp(lambda t: schedule.at(t).log_snr, (t,), (jnp.ones_like(t),))[1]
