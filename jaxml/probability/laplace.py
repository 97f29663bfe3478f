# SPDX-License-Identifier: Apache-2.0
"""The Laplace distribution with location m and scale b = e^s; one value an element, in nats."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import absolute

LOG_2 = math.log(2)


def log_prob(
    x: Float[Array, "*#shape"],
    location: Float[Array, "*#shape"],
    log_scale: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """log [e^(−|x − m|/b) / 2b] = −(log 2 + s + |x − m| e^−s)."""
    return -(LOG_2 + log_scale + absolute(x - location) * jnp.exp(-log_scale))
