# SPDX-License-Identifier: Apache-2.0
"""What is told of a mixture in minutes: covariances of every kind, densities, and BIC."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments import gmm_faithful
from jaxml.models import mixture


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]]) + [3, 70]
    x[:20] += [2, -9]
    return x


@pytest.mark.parametrize("kind", gmm_faithful.KINDS)
def test_densities_and_bic_are_those_of_the_columns_as_they_are(kind, points):
    """SciPy's normal densities with means and covariances in minutes; m counted by hand."""
    units = gmm_faithful.Units(points.mean(0), points.std(0))
    x = jnp.asarray((points - units.center) / units.scale, jnp.float32)
    model = mixture.begun(x, jax.random.key(0), 2, kind=gmm_faithful.KINDS[kind], floor=0.01)
    mean = np.asarray(model.mean[...]) * units.scale + units.center
    covariance = gmm_faithful.covariances(model) * units.scale[:, None] * units.scale
    weight = np.exp(model.log_weight[...])
    p = sum(
        w * scipy.stats.multivariate_normal(m, c).pdf(points)
        for w, m, c in zip(weight, mean, covariance, strict=True)
    )
    found = gmm_faithful.log_probs(units, model, x)
    np.testing.assert_allclose(found, np.log(p), rtol=1e-4)
    n_free = 1 + 4 + {"full": 6, "tied": 3, "diagonal": 4, "spherical": 2}[kind]
    expected = -2 * np.log(p).sum() + n_free * np.log(60)
    np.testing.assert_allclose(gmm_faithful.bic(units, model, x), expected, rtol=1e-4)
