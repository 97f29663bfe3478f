# SPDX-License-Identifier: Apache-2.0
"""Normalization of the weights instead of the data: by the norm of a column, by the largest gain.

Kernels have their output channels last, as everywhere in `jaxml.layers`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxml.numerics import norm, widen
from jaxml.types import Array, Scalar


def weight_norm(
    direction: Float[Array, "*window o"], length: Float[Array, " o"]
) -> Float[Array, "*window o"]:
    """W[..., o] = g[o] V[..., o]/‖V[..., o]‖: the length of a filter apart from its direction.

    A filter of zeros has no direction: it stays zero, with gradient zero.

    Args:
      direction: V.
      length: g, one an output channel. g = ‖V‖ leaves V as it is.

    Reference: Salimans and Kingma 2016, equation 2, arXiv:1602.07868.
    """
    v = widen(direction)
    lengths = norm(v, axis=tuple(range(v.ndim - 1)), keepdims=True)
    g = length.astype(v.dtype).reshape(lengths.shape)
    return (v * (g / jnp.where(lengths == 0, 1.0, lengths))).astype(direction.dtype)


class SpectralNorm(NamedTuple):
    """What spectral normalization returns.

    Attributes:
      kernel: W/σ.
      u: left singular vector of the next call, one number an output channel.
      v: right singular vector of the next call, one number an input of a filter.
    """

    kernel: Float[Array, "*window o"]
    u: Float[Array, " o"]
    v: Float[Array, " i"]


def spectral_norm(
    kernel: Float[Array, "*window o"],
    u: Float[Array, " o"],
    v: Float[Array, " i"],
    *,
    n_steps: int = 1,
    eps: float = 1e-12,
) -> SpectralNorm:
    """W/σ with σ = uᵀ W v, the largest singular value of the filters as rows of a matrix.

    Each step of the power iteration sets v ← Wᵀu/‖Wᵀu‖ and u ← Wv/‖Wv‖. One a call suffices in
    training, where W changes slowly: give back the `u` and `v` of the call before. Any vectors that
    are not orthogonal to the truth will start it, such as normal draws with `n_steps = 15`. No
    step (`n_steps = 0`) is the form for evaluation.

    Args:
      kernel: W, transposed: its last axis counts the output channels.
      u: left singular vector, as returned.
      v: right singular vector, as returned; as long as all other axes of the kernel together.
      n_steps: steps of the power iteration.
      eps: the smallest norm and the smallest σ that is divided by.

    Returns:
      The kernel, whose gradient passes through σ but not through `u` and `v`, and the new `u`, `v`.

    Raises:
      ValueError: if `v` does not fit the kernel.

    Reference: Miyato et al. 2018, algorithm 1 and equation 12, arXiv:1802.05957.
    """
    rows = kernel.size // kernel.shape[-1]
    if v.shape != (rows,):
        raise ValueError(f"v must hold the {rows} inputs of a filter of {kernel.shape}; {v.shape}")
    matrix = widen(kernel).reshape(rows, -1)  # the transpose of the paper's W
    fixed = lax.stop_gradient(matrix)
    left, right = (lax.stop_gradient(a).astype(matrix.dtype) for a in (u, v))
    for _ in range(n_steps):
        right = _unit(fixed @ left, eps)
        left = _unit(right @ fixed, eps)
    sigma = jnp.maximum(jnp.vdot(right, matrix @ left), eps)
    normalized = (matrix / sigma).reshape(kernel.shape).astype(kernel.dtype)
    return SpectralNorm(normalized, left.astype(u.dtype), right.astype(v.dtype))


def spectral_bound(matrix: Float[Array, "n m"], *, n_squarings: int = 4) -> Scalar:
    """σ̄ = ‖(WᵀW)^(2^(k−1))‖_F^(2^−k) ≥ σ: a bound from above of the largest singular value.

    Where the power iteration of `spectral_norm` comes from below, this holds for every W, up to
    rounding: at most r^(2^−(k+1)) times too large for rank r, which is 1.14 for r = 64 and k = 4.

    Args:
      matrix: W.
      n_squarings: k.

    Returns:
      The bound, 0 for W = 0, where its gradient is 0.

    Reference: Delattre et al. 2023, algorithm 1, arXiv:2305.16173.
    """
    power, log_scale = widen(matrix), jnp.zeros((), widen(matrix).dtype)
    if matrix.shape[0] < matrix.shape[1]:
        power = power.T
    for _ in range(n_squarings):
        size = norm(power)
        power = power / jnp.where(size == 0, 1.0, size)
        power = jnp.matmul(power.T, power, precision=lax.Precision.HIGHEST)
        log_scale = 2 * (log_scale + jnp.log(jnp.where(size == 0, 1.0, size)))
    size = norm(power)
    nonzero = size > 0
    logarithm = jnp.log(jnp.where(nonzero, size, 1.0)) + log_scale
    return jnp.where(nonzero, jnp.exp(logarithm * 0.5**n_squarings), 0.0)


def _unit(x: Array, eps: float) -> Array:
    return x / jnp.maximum(norm(x), eps)
