# SPDX-License-Identifier: Apache-2.0
"""Each toy is a density: it integrates to one, its entropy is its own, its samples follow it."""

from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jaxml.data import toy

TOYS = {
    "gaussian_ring": toy.gaussian_ring(),
    "gaussian_grid": toy.gaussian_grid(),
    "two_moons": toy.two_moons(),
    "spirals": toy.spirals(),
    "swiss_roll": toy.swiss_roll(),
    "checkerboard": toy.checkerboard(),
    "pinwheel": toy.pinwheel(),
    "one_gaussian": toy.gaussian_ring(1, 0.0, 1.0),
    "small_board": toy.checkerboard(1.3),
    "seven_arms": toy.pinwheel(7, radial_scale=0.3, tangential_scale=0.3, rate=-1.0),
}
REACH = 6.0  # every toy above lies within, up to e^-18

every_toy = pytest.mark.parametrize("name", TOYS)


def log_prob(name, x):
    """Compiled, in slices that keep the memory small."""
    compiled = jax.jit(TOYS[name].log_prob)
    parts = [compiled(jnp.asarray(part, jnp.float32)) for part in np.array_split(x, 10)]
    return np.concatenate(parts).astype(np.float64)


@cache
def grid(name):
    """The midpoints of 300 x 300 cells over the square, log p there, and the area of a cell.

    The edges of a board are edges of the cells.
    """
    reach = REACH * 1.3 / 2 if name == "small_board" else REACH
    step = 2 * reach / 300
    ticks = -reach + step * (np.arange(300) + 0.5)
    x = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    return x, log_prob(name, x), step**2


@cache
def draws(name):
    """50 000 samples."""
    return np.asarray(jax.jit(TOYS[name].sample, static_argnums=1)(jax.random.key(1), 50_000))


@every_toy
def test_the_density_integrates_to_one_and_gives_the_entropy(name):
    """Σ p · cell = 1 to 1e-3 and -Σ p log p · cell = H to 1e-3, from `log_prob` on a grid."""
    _, log_p, cell = grid(name)
    p = np.exp(log_p)
    entropy = -(p * np.where(p > 0, log_p, 0.0)).sum() * cell
    assert abs(p.sum() * cell - 1) < 1e-3
    assert abs(entropy - TOYS[name].entropy) < 1e-3


@every_toy
def test_samples_have_the_entropy_as_their_mean_surprise(name):
    """|mean(-log p(x_i)) - H| <= 4.5 s.e. over 50 000 draws."""
    surprise = -log_prob(name, draws(name))
    error = surprise.std() / np.sqrt(len(surprise))
    assert abs(surprise.mean() - TOYS[name].entropy) <= 4.5 * error + 1e-6


@every_toy
def test_samples_fall_into_the_cells_as_the_density_says(name):
    """χ² of 50 000 draws over 30 x 30 squares, each of 10 x 10 cells of the grid."""
    x, log_p, cell = grid(name)
    width = 10 * np.sqrt(cell)

    def square(points):
        place = np.clip(np.floor(points / width).astype(int) + 15, 0, 29)
        return 30 * place[:, 0] + place[:, 1]

    probability = np.bincount(square(x), np.exp(log_p) * cell, 900)
    drawn = draws(name).astype(np.float64)
    seen = np.bincount(square(drawn), minlength=900)
    expected = probability / probability.sum() * len(drawn)
    common = expected >= 5
    seen = np.append(seen[common], seen[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    if expected[-1] < 5:
        assert seen[-1] <= 20
        seen, expected = seen[:-1], expected[:-1] * seen[:-1].sum() / expected[:-1].sum()
    assert stats.chisquare(seen, expected).pvalue > 1e-4


def blur(x, center, density, start, stop, scale):
    """∫ N(x; c(t), s² I) w(t) dt by adaptive quadrature, with breaks at the nearest passages."""

    def integrand(t):
        gap = x - center(t)
        return density(t) * np.exp(-0.5 * gap @ gap / scale**2) / (2 * np.pi * scale**2)

    pieces = np.linspace(start, stop, 60)
    parts = [integrate.quad(integrand, a, b, epsabs=0, epsrel=1e-9)[0] for a, b in pairwise(pieces)]
    return sum(parts)


def arms(t):
    return np.array([-t * np.cos(t) / 3, t * np.sin(t) / 3])


CURVES = {
    "two_moons": (
        [
            lambda t: np.array([np.cos(t), np.sin(t)]),
            lambda t: np.array([1 - np.cos(t), 0.5 - np.sin(t)]),
        ],
        lambda t: 1 / (2 * np.pi),
        0.0,
        np.pi,
        0.1,
    ),
    "spirals": (
        [arms, lambda t: -arms(t)],
        lambda t: t / (3 * np.pi) ** 2,
        0.0,
        3 * np.pi,
        0.1,
    ),
    "swiss_roll": (
        [lambda t: t / 5 * np.array([np.cos(t), np.sin(t)])],
        lambda t: 1 / (3 * np.pi),
        1.5 * np.pi,
        4.5 * np.pi,
        0.2,
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_equal_adaptive_quadrature(name, x64):
    """log p to 1e-6 at draws, near draws, and up to 8 deviations off the curve."""
    curves, density, start, stop, scale = CURVES[name]
    near = draws(name)[:5].astype(np.float64)
    off = near + 5 * scale * np.random.default_rng(0).normal(size=near.shape)
    x = np.concatenate([near, off])
    expected = [sum(blur(row, curve, density, start, stop, scale) for curve in curves) for row in x]
    found = jax.jit(TOYS[name].log_prob)(jnp.asarray(x))
    np.testing.assert_allclose(found, np.log(expected), rtol=0, atol=1e-6)


def test_gaussian_mixtures_equal_scipy(x64):
    """log p of the ring and of the grid against scipy's normal densities."""
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(8) / 8
    ring = 4 / np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ticks = [-4.0, -2.0, 0.0, 2.0, 4.0]
    grid = np.array([(a, b) for a in ticks for b in ticks])
    cases = [("gaussian_ring", ring, 0.5 / np.sqrt(2)), ("gaussian_grid", grid, 0.05)]
    for name, centers, scale in cases:
        x = centers[rng.integers(len(centers), size=50)] + 2 * scale * rng.normal(size=(50, 2))
        parts = [stats.multivariate_normal(c, scale**2 * np.eye(2)).pdf(x) for c in centers]
        expected = np.log(np.mean(parts, axis=0))
        np.testing.assert_allclose(jax.jit(TOYS[name].log_prob)(x), expected, rtol=1e-10)


def test_entropies_in_closed_form():
    """ln 8 + 2 ln s of a board, ln 2πes² of one Gaussian, + ln k of k far apart."""
    assert TOYS["checkerboard"].entropy == pytest.approx(np.log(8) + 2 * np.log(2.0), abs=1e-12)
    one = np.log(2 * np.pi * np.e * 1.0**2)
    assert TOYS["one_gaussian"].entropy == pytest.approx(one, abs=1e-9)
    far = np.log(25) + np.log(2 * np.pi * np.e * 0.05**2)
    assert TOYS["gaussian_grid"].entropy == pytest.approx(far, abs=1e-9)


def test_turning_changes_no_entropy():
    """The twist has determinant 1: a pinwheel is as surprising as its arms before it."""
    still = toy.pinwheel(rate=0.0).entropy
    assert toy.pinwheel(rate=3.0).entropy == pytest.approx(still, abs=1e-12)
    x, _, cell = grid("pinwheel")
    log_p = np.asarray(jax.jit(toy.pinwheel(rate=3.0).log_prob)(jnp.asarray(x, jnp.float32)))
    assert abs(-(np.exp(log_p) * log_p).sum() * cell - still) < 1e-3


def test_pinwheel_arms_turn_with_the_radius(x64):
    """Along the ridge at radius r of arm j the angle is 2πj/k + ωr."""
    wheel = toy.pinwheel(3, radial_scale=0.5, tangential_scale=0.05, rate=0.7)
    radius = np.array([1.8, 2.0, 2.2])[:, None]
    for j in range(3):
        angle = 2 * np.pi * j / 3 + 0.7 * radius + np.array([0.0, 0.02, -0.02])
        ring = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        log_p = jax.jit(wheel.log_prob)(ring)
        assert (log_p[:, :1] > log_p[:, 1:]).all()


@every_toy
def test_densities_work_under_every_transformation(name):
    """jit = vmap of single points = batch; the score is finite also far out and at the origin."""
    x = jnp.asarray(np.concatenate([draws(name)[:5], [[0.0, 0.0], [50.0, 9.0]]]), jnp.float32)
    whole = jax.jit(TOYS[name].log_prob)(x)
    alone, score = jax.jit(jax.vmap(jax.value_and_grad(TOYS[name].log_prob)))(x)
    np.testing.assert_allclose(alone, whole, rtol=1e-5)
    assert jnp.isfinite(score).all()
    assert jax.eval_shape(TOYS[name].log_prob, x[None]).shape == (1, 7)


def test_board_is_zero_on_light_cells_and_outside():
    board = TOYS["checkerboard"]
    x = jnp.array([[1.0, 1.0], [1.0, -1.0], [-3.0, -1.0], [-3.0, 1.0], [5.0, 5.0], [-5.0, 1.0]])
    expected = [True, False, False, True, False, False]
    assert jnp.isfinite(board.log_prob(x)).tolist() == expected
    assert np.isfinite(log_prob("checkerboard", draws("checkerboard"))).all()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: toy.gaussian_ring(0), "n_modes"),
        (lambda: toy.gaussian_grid(0), "side"),
        (lambda: toy.gaussian_ring(scale=0.0), "scale"),
        (lambda: toy.two_moons(-1.0), "scale"),
        (lambda: toy.spirals(0.0), "turns"),
        (lambda: toy.checkerboard(0.0), "side"),
        (lambda: toy.pinwheel(0), "n_arms"),
        (lambda: toy.pinwheel(tangential_scale=0.0), "scale"),
    ],
)
def test_impossible_parameters_are_refused_by_name(make, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        make()
