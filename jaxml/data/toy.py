# SPDX-License-Identifier: Apache-2.0
"""Densities on the plane that are known exactly: what a model learns can be scored in nats.

The familiar pictures with their recipes changed where these leave no density to write down: noise
is Gaussian in both coordinates, curves have a known speed, pinwheels turn with the radius.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.types import Key


class Toy(NamedTuple):
    """A distribution on the plane.

    Attributes:
      sample: `(key, n) -> (n, 2)`, exact draws.
      log_prob: `x (..., 2) -> (...)`, normalized, in nats; an integral along a curve by
        Gauss-Legendre quadrature, with a relative error below 1e-6.
      entropy: -E log p in nats: in closed form, or else by quadrature on the plane to 1e-6.
    """

    sample: Callable[[Key, int], Float[Array, "n 2"]]
    log_prob: Callable[[Float[Array, "*shape 2"]], Float[Array, "*shape"]]
    entropy: float


def gaussian_ring(n_modes: int = 8, radius: float = 8**0.5, scale: float = 8**-0.5) -> Toy:
    """p(x) = 1/k Σ_j N(x; r (cos 2πj/k, sin 2πj/k), s² I).

    The defaults are the usual eight Gaussians: centres at radius 4 with scale 1/2, over √2.
    """
    _require(n_modes >= 1, "n_modes", "at least 1", n_modes)
    angle = 2 * np.pi * np.arange(n_modes) / n_modes
    centers = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _gaussians(centers, scale)


def gaussian_grid(side: int = 5, spacing: float = 2.0, scale: float = 0.05) -> Toy:
    """p(x) = 1/k² Σ_ij N(x; d (i, j), s² I): k x k modes around 0, the test of dropped modes."""
    _require(side >= 1, "side", "at least 1", side)
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    return _gaussians(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), scale)


def two_moons(scale: float = 0.1) -> Toy:
    """p(x) = ½ Σ_j ∫ N(x; c_j(t), s² I) dt/π over 0 < t < π: two facing half circles of radius 1.

    c_0 = (cos t, sin t) and c_1 = (1 - cos t, ½ - sin t), as in scikit-learn's `make_moons`, with
    angles drawn uniformly where that takes a grid.
    """

    def curve(t, cos, sin):
        return cos(t), sin(t)

    return _blurred(curve, (0.0, np.pi), 0, [(1.0, 0.0, 0.0), (-1.0, 1.0, 0.5)], scale)


def spirals(turns: float = 1.5, scale: float = 0.1) -> Toy:
    """p(x) = ½ Σ_± ∫ N(x; ±t/3 (-cos t, sin t), s² I) 2t/T² dt over 0 < t < T = 2π turns.

    t = T√u makes two arms that are nearly uniform in arc length.
    """
    _require(turns > 0, "turns", "above 0", turns)

    def curve(t, cos, sin):
        return -t * cos(t) / 3, t * sin(t) / 3

    ends = (0.0, 2 * np.pi * turns)
    return _blurred(curve, ends, 1, [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)], scale)


def swiss_roll(scale: float = 0.2) -> Toy:
    """p(x) = ∫ N(x; t/5 (cos t, sin t), s² I) dt/3π over 3π/2 < t < 9π/2: a section of the roll."""

    def curve(t, cos, sin):
        return t * cos(t) / 5, t * sin(t) / 5

    return _blurred(curve, (1.5 * np.pi, 4.5 * np.pi), 0, [(1.0, 0.0, 0.0)], scale)


def checkerboard(side: float = 2.0) -> Toy:
    """p(x) = 1/(8 s²) on the 8 dark cells of a 4 x 4 board around 0; entropy ln 8 + 2 ln s."""
    _require(side > 0, "side", "above 0", side)
    entropy = float(np.log(8) + 2 * np.log(side))

    def sample(key: Key, n: int) -> Array:
        key_cell, key_within = jax.random.split(key)
        cell = jax.random.randint(key_cell, (n,), 0, 8)
        row = cell // 2
        column = 2 * (cell % 2) + row % 2
        # Odd multiples of 2^-21: adding the corner is exact and no draw rounds into the next cell.
        within = (jax.random.bits(key_within, (n, 2), jnp.uint32) >> 12).astype(float)
        corner = jnp.stack([column, row], axis=1).astype(float) - 2
        return side * (corner + (within + 0.5) * 2**-20)

    def log_prob(x: Array) -> Array:
        cell = jnp.floor(x / side)
        dark = (cell.sum(axis=-1) % 2 == 0) & (jnp.abs(cell + 0.5) < 2).all(axis=-1)
        return jnp.where(dark, -entropy, -jnp.inf).astype(x.dtype)

    return Toy(sample, log_prob, entropy)


def pinwheel(
    n_arms: int = 5,
    *,
    radial_scale: float = 0.6,
    tangential_scale: float = 0.2,
    distance: float = 2.0,
    rate: float = 0.5,
) -> Toy:
    """p(x) = 1/k Σ_j N(R(-2πj/k - ω|x|) x; (d, 0), diag(σ_r², σ_t²)), R a rotation.

    Turning by an angle that depends on the radius alone is a bijection with determinant 1, so the
    density and the entropy are those of the Gaussians before it. The familiar recipe (Johnson et
    al. 2016, arXiv:1603.06277) turns by the first coordinate and folds the plane.
    """
    _require(n_arms >= 1, "n_arms", "at least 1", n_arms)
    _require(min(radial_scale, tangential_scale) > 0, "scale", "above 0", tangential_scale)
    angle = 2 * np.pi * np.arange(n_arms) / n_arms
    log_constant = float(np.log(n_arms * 2 * np.pi * radial_scale * tangential_scale))

    def sample(key: Key, n: int) -> Array:
        key_arm, key_noise = jax.random.split(key)
        arm = jax.random.randint(key_arm, (n,), 0, n_arms)
        noise = jax.random.normal(key_noise, (2, n))
        x, y = distance + radial_scale * noise[0], tangential_scale * noise[1]
        turn = jnp.asarray(angle)[arm] + rate * jnp.hypot(x, y)
        return jnp.stack(_rotate(x, y, jnp.cos(turn), jnp.sin(turn)), axis=1)

    def log_prob(x: Array) -> Array:
        radius = jnp.sqrt((x**2).sum(axis=-1) + jnp.finfo(x.dtype).tiny)  # smooth at the origin
        parts = []
        for turn in angle:
            back = -rate * radius - float(turn)
            a, b = _rotate(x[..., 0], x[..., 1], jnp.cos(back), jnp.sin(back))
            parts.append(((a - distance) / radial_scale) ** 2 + (b / tangential_scale) ** 2)
        return jax.nn.logsumexp(-0.5 * jnp.stack(parts), axis=0) - log_constant

    scales = (radial_scale, tangential_scale)
    reach, step = distance + 9 * max(scales), min(scales) / 5
    x = np.arange(-reach, reach, step)
    p = np.zeros((len(x), len(x)))
    for turn in angle:
        a, b = _rotate(x, x[:, None], np.cos(turn), -np.sin(turn))
        p += np.exp(-0.5 * (((a - distance) / radial_scale) ** 2 + (b / tangential_scale) ** 2))
    return Toy(sample, log_prob, _entropy(p * np.exp(-log_constant), step**2))


def _blurred(
    curve: Callable,
    ends: tuple[float, float],
    power: int,
    copies: list[tuple[float, float, float]],
    scale: float,
) -> Toy:
    """Gaussian noise around copies (sign, shift x, shift y) of a curve, t with density ∝ t^power.

    A power above 0 needs `ends[0] = 0`.
    """
    _require(scale > 0, "scale", "above 0", scale)
    start, stop = ends
    sign, shift = np.array(copies)[:, :1], np.array(copies)[:, 1:]

    fine = np.linspace(start, stop, 4000)
    arc = np.linalg.norm(np.diff(np.stack(curve(fine, np.cos, np.sin)), axis=1), axis=0).cumsum()
    # Panels of 16 nodes over three standard deviations of arc: exact to 1e-9 where p > 1e-30.
    n_panels = int(np.ceil(arc[-1] / (3 * scale)))
    edges = np.interp(np.linspace(0, arc[-1], n_panels + 1), np.append(0, arc), fine)
    node, weight = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges)[:, None] / 2
    t = (edges[:-1, None] + half * (node + 1)).ravel()
    weight = (half * weight).ravel() * t**power
    center = np.stack(curve(t, np.cos, np.sin), axis=1)
    centers = (center * sign[:, None] + shift[:, None]).reshape(-1, 2)

    def draw(key: Key, n: int) -> Array:
        key_copy, key_t = jax.random.split(key)
        copy = jax.random.randint(key_copy, (n,), 0, len(copies))
        t = start + (stop - start) * jax.random.uniform(key_t, (n,)) ** (1 / (1 + power))
        center = jnp.stack(curve(t, jnp.cos, jnp.sin), axis=1)
        return jnp.asarray(sign)[copy] * center + jnp.asarray(shift)[copy]

    return _mixture(centers, np.tile(weight, len(copies)), scale, draw)


def _gaussians(centers: np.ndarray, scale: float) -> Toy:
    """Equally likely Gaussians."""
    _require(scale > 0, "scale", "above 0", scale)

    def draw(key: Key, n: int) -> Array:
        return jnp.asarray(centers)[jax.random.randint(key, (n,), 0, len(centers))]

    return _mixture(centers, np.ones(len(centers)), scale, draw)


def _mixture(centers: np.ndarray, weights: np.ndarray, scale: float, draw: Callable) -> Toy:
    """p(x) = Σ_k w_k N(x; c_k, s² I), with `draw(key, n)` the exact law of the centres."""
    weights = weights / weights.sum()
    log_weights = np.log(weights) - np.log(2 * np.pi * scale**2)

    def sample(key: Key, n: int) -> Array:
        key_center, key_noise = jax.random.split(key)
        return draw(key_center, n) + scale * jax.random.normal(key_noise, (n, 2))

    def log_prob(x: Array) -> Array:
        c_x, c_y, log_w = (
            jnp.asarray(value, x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
            for value in (*centers.T, log_weights)
        )
        z2 = ((x[..., :1] - c_x) ** 2 + (x[..., 1:] - c_y) ** 2) / scale**2
        return jax.nn.logsumexp(log_w - 0.5 * z2, axis=-1)

    step = scale / 5
    kernels = []
    for c in centers.T:
        grid = np.arange(c.min() - 9 * scale, c.max() + 9 * scale, step)
        kernels.append(np.exp(-0.5 * ((grid[:, None] - c) / scale) ** 2))
    p = (kernels[0] * np.exp(log_weights)) @ kernels[1].T
    return Toy(sample, log_prob, _entropy(p, step**2))


def _entropy(p: np.ndarray, cell: float) -> float:
    """-Σ p log p · cell on a grid: exponentially accurate for a smooth density that vanishes."""
    p = p[p > 0]
    return float(-(p * np.log(p)).sum() * cell)


def _rotate(a, b, cos, sin):
    return cos * a - sin * b, sin * a + cos * b


def _require(holds: bool, name: str, expected: str, value: float | int) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {value}")


__all__ = [
    "Toy",
    "checkerboard",
    "gaussian_grid",
    "gaussian_ring",
    "pinwheel",
    "spirals",
    "swiss_roll",
    "two_moons",
]
