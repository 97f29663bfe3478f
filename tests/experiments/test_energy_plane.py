# SPDX-License-Identifier: Apache-2.0
"""On the grid of the plane a Gaussian energy has its known log Z, and draws of its law."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import energy_plane
from jaxml.models import energy

PRECISION = np.array([[6.0, 2.0], [2.0, 3.0]])


def model():
    A = jnp.asarray(PRECISION, jnp.float32)
    return energy.EnergyModel(lambda x: 0.5 * jnp.sum(x @ A * x, axis=-1) + 7.0)


def test_log_z_is_that_of_the_gaussian():
    """log 2π − ½ log det A − 7, to single precision, whatever the model had learned."""
    net = model()
    net.log_z[...] = jnp.asarray(3.0)
    found = energy_plane.normalized(net)
    expected = np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(PRECISION)) - 7
    np.testing.assert_allclose(found.log_z[...], expected, atol=1e-5)
    assert net.log_z[...] == 3  # the model that was given is left alone


def test_draws_have_its_covariance():
    """Within 4.5 standard errors; a cell adds Δ²/12 to a variance."""
    n, cov = 50_000, np.linalg.inv(PRECISION)
    x = np.asarray(jax.jit(lambda k: energy_plane.sample(model(), k, n))(jax.random.key(0)))
    diagonal = np.diag(cov)
    error = np.sqrt((cov**2 + np.outer(diagonal, diagonal)) / n)
    assert (np.abs(np.cov(x.T) - cov - np.eye(2) * energy_plane.CELL**2 / 12) < 4.5 * error).all()
    assert (np.abs(x.mean(0)) < 4.5 * np.sqrt(diagonal / n)).all()
