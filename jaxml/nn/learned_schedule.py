# SPDX-License-Identifier: Apache-2.0
"""A noise schedule that is learned with the network that works under it."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.diffusion.schedule import Schedule, variance_preserving
from jaxml.numerics import soft_clip

Time = Float[Array, "*t"]


class Way(nnx.Param):
    """Parameters that say how a schedule goes from one end to the other, and nothing of its ends.

    The bound does not depend on them, only the variance of its estimate does.
    """


class LearnedSchedule(nnx.Module):
    """λ(t) = λ_0 − (λ_0 − λ_1) F(t) with F a mixture of distribution functions on [0, 1].

    F(t) = w_0 t + Σ_j w_j [σ(k_j (t − c_j)) − σ(−k_j c_j)]/[σ(k_j (1 − c_j)) − σ(−k_j c_j)], which
    rises from 0 to 1 whatever the parameters are: the monotone network of the paper, with its ends
    held by construction and not by a second pass through it. α² = sigmoid(λ), σ² = sigmoid(−λ).

    Args:
      low: λ_1 at the start, the log-SNR at t = 1.
      high: λ_0 at the start.
      n_units: sigmoids, spread over [0, 1].

    Raises:
      ValueError: unless low < high, both finite, or for less than one unit.

    Reference: Kingma et al. 2021, section 3.2 and appendix H, arXiv:2107.00630.
    """

    def __init__(self, low: float = -10.0, high: float = 10.0, *, n_units: int = 16):
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"low, high: expected numbers with low < high, got {low} and {high}")
        if n_units < 1:
            raise ValueError(f"n_units: expected at least 1, got {n_units}")
        self.high = nnx.Param(jnp.asarray(float(high)))
        self.log_span = nnx.Param(jnp.asarray(math.log(high - low)))
        self.weight = Way(jnp.zeros(n_units + 1))
        self.log_slope = Way(jnp.full(n_units, math.log(4.0 + n_units)))
        spread = jnp.linspace(0.02, 0.98, n_units)
        self.center = Way(jnp.log(spread) - jnp.log1p(-spread))

    def fraction(self, t: Time) -> Time:
        """F(t), how much of the way from λ_0 to λ_1 is behind."""
        # A center in (0, 1) and a bounded slope: every unit really rises between 0 and 1.
        slope = jnp.exp(soft_clip(self.log_slope[...], 7.0))
        center = jax.nn.sigmoid(self.center[...])
        weight = jax.nn.softmax(self.weight[...])
        first, last = (jax.nn.sigmoid(slope * (end - center)) for end in (0.0, 1.0))
        like = (1,) * t.ndim + center.shape
        place = slope.reshape(like) * (t[..., None] - center.reshape(like))
        risen = (jax.nn.sigmoid(place) - first.reshape(like)) / (last - first).reshape(like)
        return weight[0] * t + risen @ weight[1:]

    def log_snr(self, t: Time) -> Time:
        """λ(t)."""
        return self.high[...] - jnp.exp(self.log_span[...]) * self.fraction(t)

    @property
    def schedule(self) -> Schedule:
        """The schedule at the present weights."""
        return variance_preserving(self.log_snr)
