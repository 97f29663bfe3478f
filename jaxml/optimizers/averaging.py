# SPDX-License-Identifier: Apache-2.0
"""Averages of parameters over the steps: exponential, and of all of them alike."""

import jax
import jax.numpy as jnp
from jaxtyping import Int

from jaxml.numerics import widen
from jaxml.types import Array, PyTree


def exponential_average(average: PyTree, params: PyTree, decay: float | Array) -> PyTree:
    """θ̄ ← d θ̄ + (1 − d) θ, in float32 at least.

    With d = 0.999 a bfloat16 average would round every change away. What holds no real numbers,
    such as a counter, is that of θ.

    Args:
      average: θ̄; begin with θ, or with zeros and divide by 1 − dᵗ after t updates.
      params: θ.
      decay: d.

    Reference: for diffusion models Ho et al. 2020, section 4, arXiv:2006.11239.
    """

    def blend(old: Array, new: Array) -> Array:
        return _towards(old, new, 1 - jnp.asarray(decay).astype(widen(old).dtype))

    return jax.tree.map(blend, average, params)


def polyak_average(average: PyTree, params: PyTree, count: Int[Array, ""] | int) -> PyTree:
    """θ̄ ← θ̄ + (θ − θ̄)/(n + 1): the mean of all parameters so far, each weighted alike.

    In float32 at least; what holds no real numbers is that of θ.

    Args:
      average: θ̄, the mean of n of them; anything finite if n = 0.
      params: θ.
      count: n.

    Reference: Polyak and Juditsky 1992.
    """
    share = 1 / (jnp.asarray(count).astype(jnp.zeros(()).dtype) + 1)
    return jax.tree.map(lambda old, new: _towards(old, new, share), average, params)


def _towards(old: Array, new: Array, share: Array) -> Array:
    if not jnp.issubdtype(new.dtype, jnp.floating):
        return new
    old = widen(old)
    return old + share.astype(old.dtype) * (new.astype(old.dtype) - old)
