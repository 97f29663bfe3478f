# SPDX-License-Identifier: Apache-2.0
"""Every kind of covariance: its density against SciPy's, its estimate against all others."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.probability import gaussian_mixture as gaussians

KINDS = {
    "full": gaussians.FULL,
    "tied": gaussians.TIED,
    "diagonal": gaussians.DIAGONAL,
    "spherical": gaussians.SPHERICAL,
}
N, K, D = 40, 3, 2


def covariances(name):
    """Of every component, as matrices, and in the form of its kind."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(K, D, D + 1))
    full = roots @ roots.swapaxes(1, 2)
    if name == "full":
        return full, full
    if name == "tied":
        return np.stack([full[0]] * K), full[0]
    if name == "diagonal":
        axes = np.diagonal(full, axis1=1, axis2=2)
        return axes[:, :, None] * np.eye(D), axes
    return full[:, :1, :1] * np.eye(D), full[:, 0, 0]


def points():
    rng = np.random.default_rng(1)
    return rng.normal(size=(N, D)) + 3, rng.normal(size=(K, D)) + 3


@pytest.mark.parametrize("name", KINDS)
def test_densities_are_those_of_scipy(name, x64):
    """To 1e-12 of every point under every component; in single precision to 1e-5, far out too."""
    x, mean = points()
    matrices, given = covariances(name)
    expected = np.stack(
        [stats.multivariate_normal(m, c).logpdf(x) for m, c in zip(mean, matrices, strict=True)], 1
    )
    found = KINDS[name].log_prob(*map(jnp.asarray, (x, mean, given)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    single = KINDS[name].log_prob(*(jnp.asarray(a, jnp.float32) for a in (x, mean, given)))
    np.testing.assert_allclose(single, expected, rtol=1e-4)


@pytest.mark.parametrize("floor", [1e-6, 1.0])
@pytest.mark.parametrize("name", KINDS)
def test_no_other_covariance_of_the_kind_above_the_floor_is_better(name, floor, x64):
    """Σ r log N falls in all of 50 directions that keep the kind and the floor."""
    kind = KINDS[name]
    x, mean = map(jnp.asarray, points())
    shares = jnp.asarray(np.random.default_rng(2).dirichlet(np.ones(K), size=N))
    total = shares.sum(0)
    mean = shares.T @ x / total[:, None]
    best = kind.estimate(x, shares, total, mean, floor)

    def value(covariance):
        return jnp.sum(shares * kind.log_prob(x, mean, covariance))

    rng = np.random.default_rng(3)
    least = 0
    for _ in range(50):
        way = rng.normal(size=best.shape)
        if best.ndim > 1 and name in ("full", "tied"):
            way = way + np.swapaxes(way, -1, -2)
        other = np.asarray(best) + 0.05 * way
        # Back above the floor.
        if name in ("full", "tied"):
            values, vectors = np.linalg.eigh(other)
            values = np.maximum(values, floor)
            other = (vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2)
            least = np.linalg.eigvalsh(best).min()
        else:
            other = np.maximum(other, floor)
            least = best.min()
        assert value(jnp.asarray(other)) <= value(best) + 1e-9
    assert least >= floor * (1 - 1e-9)
    at_floor = least < floor * (1 + 1e-9)
    assert at_floor == (floor == 1.0)


@pytest.mark.parametrize("name", KINDS)
def test_draws_have_the_covariance(name, x64):
    matrices, given = covariances(name)
    one = lambda eps: KINDS[name].spread(jnp.asarray(given), jnp.broadcast_to(eps, (K, D)))  # noqa: E731
    roots = np.stack([one(jnp.eye(D)[i]) for i in range(D)], axis=-1)
    np.testing.assert_allclose(roots @ roots.swapaxes(1, 2), matrices, rtol=1e-12, atol=1e-12)


def test_free_numbers_are_counted():
    counted = {name: kind.n_free(K, D) for name, kind in KINDS.items()}
    assert counted == {"full": 9, "tied": 3, "diagonal": 6, "spherical": 3}


@pytest.mark.parametrize("name", KINDS)
def test_narrow_components_far_away_keep_their_digits(name):
    """Clusters of width 0.01 at ±100 in single precision: variances and densities to 2 %."""
    rng = np.random.default_rng(0)
    near = np.repeat([0, 1], 200)
    x = jnp.asarray(0.01 * rng.normal(size=(400, D)) + 200.0 * near[:, None] - 100, jnp.float32)
    exact = np.asarray(x, "f8")
    shares = jnp.asarray(np.eye(2)[near], jnp.float32)
    mean = jnp.stack([x[:200].mean(0), x[200:].mean(0)])
    found = KINDS[name].estimate(x, shares, shares.sum(0), mean, 1e-9)
    gap = exact - np.asarray(mean, "f8")[near]
    variance = found if name == "spherical" else np.diagonal(found, axis1=-2, axis2=-1)
    variance = found if name == "diagonal" else variance
    mine = np.stack([(gap[near == k] ** 2).mean(0) for k in (0, 1)])
    expected = {"tied": mine.mean(0), "spherical": mine.mean(1)}.get(name, mine)
    np.testing.assert_allclose(variance, expected, rtol=0.02)
    single = KINDS[name].log_prob(x, mean, found)
    found = np.asarray(single)[np.arange(400), near].mean()
    assert abs(found - 2 * (-np.log(0.01) - 0.5 * np.log(2 * np.pi) - 0.5)) < 0.2
