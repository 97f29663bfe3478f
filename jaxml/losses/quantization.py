# SPDX-License-Identifier: Apache-2.0
"""Vector quantization: the nearest code, gradients past it, and how codes follow their vectors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.types import Scalar


def nearest_code(
    z: Float[Array, "*batch dim"], codes: Float[Array, "n_codes dim"]
) -> Integer[Array, "*batch"]:
    """argmin_k ‖z − e_k‖, as argmin_k (½‖e_k‖² − z·e_k); the first of equals. NaN has no gradient.

    Reference: van den Oord et al. 2017, equation 1, arXiv:1711.00937.
    """
    product = jnp.einsum("...d,kd->...k", z, codes, precision=jax.lax.Precision.HIGHEST)
    half_norm = 0.5 * jnp.sum(jnp.square(codes), axis=-1)
    return jnp.argmin(half_norm.reshape((1,) * (z.ndim - 1) + (-1,)) - product, axis=-1)


def straight_through(
    z: Float[Array, "*shape"], quantized: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The value of `quantized` with the gradient of z: ∂/∂z is the identity.

    Reference: Bengio et al. 2013, arXiv:1308.3432.
    """
    return jax.lax.stop_gradient(quantized) + (z - jax.lax.stop_gradient(z))


def commitment(
    z: Float[Array, "*batch dim"], quantized: Float[Array, "*batch dim"]
) -> Float[Array, "*batch"]:
    """‖z − sg(e)‖²: draws the encoder towards its code. Swap the arguments for the codebook term.

    Reference: van den Oord et al. 2017, equation 3, arXiv:1711.00937.
    """
    return jnp.sum(jnp.square(z - jax.lax.stop_gradient(quantized)), axis=-1)


def perplexity(indices: Integer[Array, "*batch"], n_codes: int) -> Scalar:
    """exp(−Σ_k p_k log p_k) of the codes' frequencies: 1 if one is used, n_codes if all equally."""
    p = jnp.bincount(indices.ravel(), length=n_codes) / indices.size
    return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(p, p)))


class Clusters(NamedTuple):
    """Moving counts and sums of the vectors that fell to each code."""

    counts: Float[Array, "n_codes"]
    sums: Float[Array, "n_codes dim"]


def follow(
    clusters: Clusters,
    codes: Float[Array, "n_codes dim"],
    z: Float[Array, "*batch dim"],
    indices: Integer[Array, "*batch"],
    *,
    decay: float,
) -> tuple[Clusters, Float[Array, "n_codes dim"]]:
    """N ← γN + (1 − γ)n, m ← γm + (1 − γ)Σz, e ← m/N: codes as moving means of their vectors.

    Both moving values start at 0, so their quotient needs no bias correction. A code that no
    vector has reached yet, or for very long, keeps its place.

    Args:
      clusters: N and m.
      codes: e.
      z: vectors.
      indices: the code of each.
      decay: γ.

    Reference: van den Oord et al. 2017, appendix A.1, arXiv:1711.00937.
    """
    z, indices = jax.lax.stop_gradient(z).reshape(-1, z.shape[-1]), indices.ravel()
    n_codes = codes.shape[0]
    n = jax.ops.segment_sum(jnp.ones(indices.shape, z.dtype), indices, n_codes)
    total = jax.ops.segment_sum(z, indices, n_codes)
    counts = decay * clusters.counts + (1 - decay) * n
    sums = decay * clusters.sums + (1 - decay) * total
    alive = (counts > 1e-5)[:, None]  # far above the subnormals, where a quotient loses its digits
    means = sums / jnp.where(alive, counts[:, None], 1.0)
    return Clusters(counts, sums), jnp.where(alive, means, codes)
