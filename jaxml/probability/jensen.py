# SPDX-License-Identifier: Apache-2.0
"""Jensen's inequality, φ(E x) ≤ E φ(x) for convex φ, as the gap between its sides."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.types import Scalar


def jensen_gap(
    phi: Callable[[Float[Array, "..."]], Scalar],
    x: Float[Array, "n ..."],
    weights: Float[Array, "n"] | None = None,
) -> Scalar:
    """E φ(X) − φ(E X), where X is x_i with probability w_i: 0 or more for convex φ.

    It is the variance for φ = x², an f-divergence Σ q f(p/q) for φ = f and X = p/q under q, and
    what a lower bound E log w of log E w gives away for φ = −log. It is 0 for linear φ, and, where
    φ is strictly convex, for constant X only.

    Args:
      phi: one point to a number.
      x: the points.
      weights: w up to a factor, all the same if None.

    Reference: Jensen 1906, Sur les fonctions convexes et les inégalités entre les valeurs moyennes.
    """
    w = jnp.ones(x.shape[:1], x.dtype) if weights is None else weights
    w = w / jnp.sum(w)
    mean = jnp.tensordot(w, x, axes=1)
    # Differences before the mean: φ(E x) may be far larger than the gap.
    return jnp.sum(w * (jax.vmap(phi)(x) - phi(mean)))
