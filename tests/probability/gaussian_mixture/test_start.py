# SPDX-License-Identifier: Apache-2.0
"""Where expectation maximization begins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import gaussian_mixture as gaussians

X = jnp.asarray([[0.0], [1.0], [10.0]])


def test_centers_are_drawn_by_their_squared_distance():
    """Of 0, 1, 10: the second center's chances, by hand, in 20,000 draws within 4.5 errors."""
    n = 20_000
    keys = jax.random.split(jax.random.key(0), n)
    centers = np.asarray(jax.jit(jax.vmap(lambda key: gaussians.plus_plus(X, key, 2)))(keys))[
        ..., 0
    ]
    expected = {
        (0.0, 1.0): 1 / 101, (0.0, 10.0): 100 / 101, (1.0, 0.0): 1 / 82, (1.0, 10.0): 81 / 82,
        (10.0, 0.0): 100 / 181, (10.0, 1.0): 81 / 181,
    }  # fmt: skip
    for pair, chance in expected.items():
        share = (centers == pair).all(1).mean()
        chance = chance / 3
        assert abs(share - chance) < 4.5 * np.sqrt(chance * (1 - chance) / n)


def test_clusters_far_apart_are_found_at_once():
    """Three of 50 points each, from all of 20 starts."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(150, 2)) + 100 * np.repeat(np.arange(3), 50)[:, None], "f4")
    begin = jax.vmap(lambda key: gaussians.start(x, key, 3, gaussians.FULL, floor=1e-3))
    found = jax.jit(begin)(jax.random.split(jax.random.key(0), 20))
    np.testing.assert_allclose(np.exp(found.log_weight), 1 / 3, rtol=1e-5)
    means = np.sort(np.asarray(found.mean), axis=1)
    np.testing.assert_allclose(means, np.broadcast_to(means[0], means.shape), rtol=1e-4)


def test_points_that_are_all_alike():
    """No NaN: every center is the point, and variances are at the floor."""
    found = gaussians.start(jnp.ones((5, 2)), jax.random.key(0), 3, gaussians.DIAGONAL, floor=0.25)
    np.testing.assert_array_equal(found.mean, 1)
    np.testing.assert_array_equal(found.covariance, 0.25)
    assert np.isfinite(found.log_weight).all()


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="k: expected 1 to 3 centers, got 4"):
        gaussians.plus_plus(X, jax.random.key(0), 4)
    with pytest.raises(ValueError, match="floor: expected a positive variance"):
        gaussians.start(X, jax.random.key(0), 1, gaussians.FULL, floor=0.0)
