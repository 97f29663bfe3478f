# SPDX-License-Identifier: Apache-2.0
"""log Z of an energy between its bounds, where it is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models import energy
from jaxml.models.energy import partition
from jaxml.probability import normal
from tests.models.energy.case import COVARIANCE, LOG_Z, PRECISION, model


def noise(scale):
    """N(0, scale²) in the plane."""
    log_variance = jnp.full((1, 1), 2 * np.log(scale), jnp.float32)
    return energy.Noise(
        lambda x: normal.log_prob(x, jnp.zeros((1, 1)), log_variance).sum(-1),
        lambda key, n: scale * jax.random.normal(key, (n, 2)),
    )


OPTIONS = {"noise": noise(2.0), "betas": jnp.linspace(0.0, 1.0, 201), "step_size": 0.4}


def test_both_bounds_meet_at_the_known_log_z():
    """A quadratic energy, forth and back: within 4.5 standard errors of at most 0.05 nats."""
    net, n = model(PRECISION), 2000
    x = np.random.default_rng(0).multivariate_normal(np.zeros(2), COVARIANCE, n)
    low = jax.jit(lambda key: partition.lower_bound(net, key, n, **OPTIONS))(jax.random.key(0))
    high = jax.jit(lambda x, key: partition.upper_bound(net, x, key, **OPTIONS))(
        jnp.asarray(x, jnp.float32), jax.random.key(1)
    )
    for found in (low, high):
        assert 0 < found.standard_error <= 0.05
        assert abs(found.value - LOG_Z) < 4.5 * found.standard_error


def test_without_chains_the_bounds_lie_on_either_side():
    """Two βs and steps of no length are plain importance sampling, far too low and too high.

    From draws of q the mean of e^{−E}/q is estimated, which is Z; a narrow q makes it too small by
    nats with a hundred draws, and the way back too large.
    """
    net = model(PRECISION)
    options = {"noise": noise(0.03), "betas": jnp.asarray([0.0, 1.0]), "step_size": 1e-6}
    x = np.random.default_rng(0).multivariate_normal(np.zeros(2), COVARIANCE, 100)
    low = partition.lower_bound(net, jax.random.key(0), 100, **options)
    high = partition.upper_bound(net, jnp.asarray(x, jnp.float32), jax.random.key(1), **options)
    assert low.value < LOG_Z - 1
    assert high.value > LOG_Z + 1
    with pytest.raises(ValueError, match="betas"):
        partition.lower_bound(
            net, jax.random.key(2), 10, **(options | {"betas": jnp.asarray([1.0])})
        )
