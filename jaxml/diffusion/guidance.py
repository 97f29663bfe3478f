# SPDX-License-Identifier: Apache-2.0
"""Guidance and thresholds: denoisers made of denoisers, whose x̂_0 and ε̂ still make x."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.grid import Points
from jaxml.diffusion.noise import Noise
from jaxml.diffusion.parameterization import Clean
from jaxml.diffusion.solver import Denoise, Event

Axes = int | tuple[int, ...]


def guided(
    denoise: Denoise,
    denoise_without: Denoise,
    scale: float | Float[Array, ""],
    *,
    interval: tuple[float, float] | None = None,
) -> Denoise:
    """ε_u + w (ε_c − ε_u), and x̂_0 likewise: classifier-free guidance.

    With w = 1 this is the conditional denoiser, with 0 the other. It is that of the density
    p_c^w p_u^(1 − w) at every noise, which is no diffusion of one density.

    Args:
      denoise: with the condition, c.
      denoise_without: without it, u.
      scale: w; the paper's own is w − 1.
      interval: (low, high), the σ/α between which w counts; outside it is 1 and only the
        conditional denoiser is asked.

    Raises:
      ValueError: unless 0 ≤ low < high.

    Reference: Ho and Salimans 2022, equation 6, arXiv:2207.12598; of the interval Kynkäänniemi et
    al. 2024, arXiv:2404.07724.
    """
    if interval is not None and not 0 <= interval[0] < interval[1]:
        raise ValueError(f"interval: expected 0 <= low < high, got {interval}")

    def mixed(x: Event, point: Points, clean: Clean) -> Clean:
        without = denoise_without(x, point)
        return Clean(*(u + scale * (c - u) for c, u in zip(clean, without, strict=True)))

    def guided_denoise(x: Event, point: Points) -> Clean:
        clean = denoise(x, point)
        if interval is None:
            return mixed(x, point, clean)
        level = jnp.exp(-0.5 * point.noise.log_snr)
        inside = (level > interval[0]) & (level <= interval[1])
        return jax.lax.cond(inside, lambda: mixed(x, point, clean), lambda: clean)

    return guided_denoise


def rescaled(denoise: Denoise, like: Denoise, share: float = 0.7, *, axes: Axes) -> Denoise:
    """x̂_0 (φ s_like/s + 1 − φ): x̂_0 with a standard deviation nearer to that of another denoiser.

    Guidance of a large scale gives x̂_0 too much contrast; the conditional denoiser has the right
    one.

    Args:
      denoise: the guided one.
      like: the conditional one.
      share: φ, 0 for no change.
      axes: of one example, over which s is taken.

    Raises:
      ValueError: unless φ is in [0, 1].

    Reference: Lin et al. 2024, section 3.4, arXiv:2305.08891, there of the network's output.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a number in [0, 1], got {share}")

    def rescaled_denoise(x: Event, point: Points) -> Clean:
        clean = denoise(x, point)
        s, right = (_deviation(c.x0, axes) for c in (clean, like(x, point)))
        varies = s > 0
        ratio = jnp.where(varies, right, 1.0) / jnp.where(varies, s, 1.0)
        return replaced(clean, clean.x0 * (share * ratio + 1 - share), point.noise)

    return rescaled_denoise


def clipped(denoise: Denoise, low: float = -1.0, high: float = 1.0) -> Denoise:
    """x̂_0 limited to [low, high], where the data are known to lie.

    Args:
      denoise: what is limited.
      low: the least number of the data.
      high: the largest.

    Raises:
      ValueError: if they are not in this order.

    Reference: Saharia et al. 2022, section 2.3, arXiv:2205.11487, as static thresholding.
    """
    if not low < high:
        raise ValueError(f"low, high: expected low < high, got {low} and {high}")

    def clipped_denoise(x: Event, point: Points) -> Clean:
        clean = denoise(x, point)
        return replaced(clean, jnp.clip(clean.x0, low, high), point.noise)

    return clipped_denoise


def dynamic_threshold(
    denoise: Denoise, percentile: float = 99.5, limit: float = 1.0, *, axes: Axes
) -> Denoise:
    """x̂_0 clipped to [−s, s] and divided by s/limit, s a percentile of |x̂_0|, at least the limit.

    Args:
      denoise: what is limited.
      percentile: between 0 and 100.
      limit: of the data, which lie in [−limit, limit].
      axes: of one example, over which the percentile is taken.

    Raises:
      ValueError: for numbers out of their range.

    Reference: Saharia et al. 2022, section 2.3, arXiv:2205.11487.
    """
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile: expected a number in (0, 100], got {percentile}")
    if not limit > 0:
        raise ValueError(f"limit: expected a positive number, got {limit}")

    def limited_denoise(x: Event, point: Points) -> Clean:
        clean = denoise(x, point)
        s = jnp.percentile(jnp.abs(clean.x0), percentile, axis=axes, keepdims=True)
        s = jnp.maximum(s, limit)
        return replaced(clean, jnp.clip(clean.x0, -s, s) / s * limit, point.noise)

    return limited_denoise


def replaced(clean: Clean, x0: Event, noise: Noise) -> Clean:
    """Another x̂_0 and the ε̂ that makes the same x with it: ε̂ + α/σ (what x̂_0 has lost).

    Where there is no noise ε̂ stays, because nothing depends on it.

    Args:
      clean: what x was taken for.
      x0: what it is to be taken for.
      noise: of x, one number or one a row.
    """
    alpha, sigma, _ = noise.over(x0)
    noisy = sigma > 0
    ratio = jnp.where(noisy, alpha, 0.0) / jnp.where(noisy, sigma, 1.0)
    return Clean(x0, clean.eps + ratio * (clean.x0 - x0))


def _deviation(x: Event, axes: Axes) -> Float[Array, "..."]:
    """The standard deviation over some axes, with gradient 0 where it is 0."""
    variance = jnp.var(x, axis=axes, keepdims=True)
    varies = variance > 0
    return jnp.where(varies, jnp.sqrt(jnp.where(varies, variance, 1.0)), 0.0)
