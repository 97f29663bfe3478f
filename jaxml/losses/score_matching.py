# SPDX-License-Identifier: Apache-2.0
"""Score matching: fit ∇ log p to data without its normalization, one number an example.

A score is a function of a batch whose row depends on that row of x alone.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.types import Key

Batch = Float[Array, "n *event"]
Each = Float[Array, "n"]
Score = Callable[[Batch], Batch]


def implicit(score: Score, x: Batch) -> Each:
    """½‖s(x)‖² + tr ∇s(x), the trace exact by one forward derivative a dimension.

    Up to a constant its mean over data is half the mean square distance of s to the data's score.

    Args:
      score: s.
      x: data of few dimensions d; the cost is d + 1 evaluations.

    Reference: Hyvärinen 2005, equation 4, JMLR 6:695.
    """
    d = x[0].size

    def along(i: Array) -> Each:
        v = jnp.zeros((len(x), d), x.dtype).at[:, i].set(1).reshape(x.shape)
        return _rows(v * jax.jvp(score, (x,), (v,))[1])

    return 0.5 * _rows(jnp.square(score(x))) + jnp.sum(jax.vmap(along)(jnp.arange(d)), axis=0)


def sliced(score: Score, x: Batch, key: Key, *, n_slices: int = 1) -> Each:
    """½‖s(x)‖² + (1/m) Σ vᵀ∇s(x)v, v of random signs: the trace of `implicit` without bias.

    Args:
      score: s.
      x: data of any number of dimensions.
      key: for v.
      n_slices: m, directions an example.

    Raises:
      ValueError: for less than one.

    Reference: Song et al. 2019, equation 9, arXiv:1905.07088; Hutchinson 1989 for the signs.
    """
    if n_slices < 1:
        raise ValueError(f"n_slices: expected at least 1, got {n_slices}")

    def along(v: Array) -> Each:
        return _rows(v * jax.jvp(score, (x,), (v,))[1])

    v = jax.random.rademacher(key, (n_slices, *x.shape), x.dtype)
    return 0.5 * _rows(jnp.square(score(x))) + jnp.mean(jax.vmap(along)(v), axis=0)


def denoising(score: Score, x: Batch, key: Key, sigma: float | Float[Array, "n"]) -> Each:
    """½‖σ s(x + σε) + ε‖², ε from N(0, I): at its minimum s is the score of data under noise.

    It is σ²/2 ‖s(x̃) − ∇ log q(x̃ | x)‖²: with the weight σ² it is of order d at every σ.

    Args:
      score: s.
      x: data.
      key: for ε.
      sigma: σ, one number or one an example.

    Reference: Vincent 2011, equation 9, Neural Computation 23; Song and Ermon 2019, equation 6,
    arXiv:1907.05600, for the weight.
    """
    eps = jax.random.normal(key, x.shape, x.dtype)
    wide = jnp.broadcast_to(jnp.asarray(sigma, x.dtype), (len(x),))
    wide = wide.reshape(len(x), *(1,) * (x.ndim - 1))
    return 0.5 * _rows(jnp.square(wide * score(x + wide * eps) + eps))


def _rows(a: Batch) -> Each:
    return jnp.sum(a, axis=tuple(range(1, a.ndim)))
