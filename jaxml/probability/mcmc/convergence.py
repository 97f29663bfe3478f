# SPDX-License-Identifier: Apache-2.0
"""Whether chains have forgotten where they began, and what their correlated draws are worth."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Draws = Float[Array, "chains draws *shape"]


def split_r_hat(draws: Draws) -> Float[Array, "*shape"]:
    """R̂ = √(V⁺/W) of all half chains, V⁺ = (n − 1)/n W + B/n; 1 where they are alike.

    W is the mean variance within halves of n draws and B/n the variance of their means. Above 1.01
    the chains, or the two halves of one, still tell different stories. NaN where nothing moves.

    Args:
      draws: at least 4 of each chain; of an odd number the middle one is left out.

    Raises:
      ValueError: for fewer than 4 draws.

    Reference: Vehtari et al. 2021, equations 1 to 4, arXiv:1903.08008, without its ranks.
    """
    halves = _halves(draws)
    within, total = _variances(halves)
    return jnp.sqrt(total / within)


def effective_sample_size(draws: Draws) -> Float[Array, "*shape"]:
    """N/(1 + 2 Σ_t ρ_t): how many independent draws have the standard error of these for a mean.

    The sum of autocorrelations ends by Geyer's initial monotone sequence: sums of neighbours
    ρ_2k + ρ_2k+1, as long as they are positive, none larger than those before. Chains are split in
    halves, so that a drift counts as correlation; at most N log₁₀ N is told, since ρ may be
    negative. NaN where nothing moves.

    Args:
      draws: at least 8 of each chain.

    Raises:
      ValueError: for fewer than 8 draws.

    Reference: Vehtari et al. 2021, equations 10 and 11, arXiv:1903.08008; Geyer 1992, Statistical
    Science 7, section 3.3.
    """
    if draws.shape[1] < 8:
        raise ValueError(f"draws: expected at least 8 of each chain, got {draws.shape[1]}")
    halves = _halves(draws)
    m, n = halves.shape[:2]
    within, total = _variances(halves)
    covariance = autocovariance(halves).mean(0)
    # With the divisor n of the autocovariance its lag 0 would not be W, and ρ_0 not 1.
    rho = 1 - (within[None] - covariance * (n / (n - 1))) / total[None]
    rho = rho.at[0].set(1.0)
    pairs = rho[: n // 2 * 2].reshape(n // 2, 2, *rho.shape[1:]).sum(1)
    alive = jnp.cumprod(pairs > 0, axis=0)
    pairs = jnp.where(alive > 0, jax.lax.cummin(pairs, axis=0), 0.0)
    tau = -1 + 2 * pairs.sum(0)
    n_all = float(m * n)
    return n_all / jnp.maximum(tau, 1 / jnp.log10(n_all))


def autocovariance(draws: Draws) -> Float[Array, "chains draws *shape"]:
    """(1/n) Σ_i (x_i − x̄)(x_{i+t} − x̄) for t = 0, …, n − 1, by Fourier transforms."""
    n = draws.shape[1]
    size = 1 << (2 * n - 1).bit_length()  # with zeros behind, or the end would meet the beginning
    centred = draws - draws.mean(1, keepdims=True)
    spectrum = jnp.fft.rfft(centred, size, axis=1)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    return jnp.fft.irfft(power, size, axis=1)[:, :n] / n


def _halves(draws: Array) -> Array:
    n = draws.shape[1]
    if n < 4:
        raise ValueError(f"draws: expected at least 4 of each chain, got {n}")
    return jnp.concatenate([draws[:, : n // 2], draws[:, (n + 1) // 2 :]])


def _variances(draws: Array) -> tuple[Array, Array]:
    """W and V⁺."""
    n = draws.shape[1]
    within = draws.var(1, ddof=1).mean(0)
    return within, within * ((n - 1) / n) + draws.mean(1).var(0, ddof=1)
