# SPDX-License-Identifier: Apache-2.0
"""Chains of a model: what the image defaults do, and that the honest ones draw from e^{−E}."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models import energy
from jaxml.probability import mcmc
from tests.models.energy.case import COVARIANCE, PRECISION, examples, model


def test_steps_are_noise_then_a_clipped_slope_within_bounds():
    """Two steps by hand, with slopes beyond the clip and points beyond the bounds."""
    net, key = model(PRECISION), jax.random.key(0)
    x = jnp.asarray([[0.9, -0.9], [0.01, 0.0], [0.2, 0.3]])
    expected = np.asarray(x, np.float64)
    for i in range(2):
        noise = jax.random.normal(jax.random.fold_in(jax.random.clone(key), i), x.shape)
        expected = np.clip(expected + 0.05 * np.asarray(noise), -1, 1)
        slope = np.clip(expected @ PRECISION, -0.03, 0.03)
        expected = np.clip(expected - 10 * slope, -1, 1)
    found = energy.langevin(net, x, key, n_steps=2, noise=0.05)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_its_liberties_it_is_langevins_chain():
    """noise, clip, bounds None: step for step that of `probability.mcmc`."""
    net, key, x = model(PRECISION), jax.random.key(0), examples(4)
    plain = {"noise": None, "clip": None, "bounds": None}
    found = energy.langevin(net, x, key, n_steps=3, step_size=0.1, **plain)
    for i in range(3):
        step_key = jax.random.fold_in(jax.random.clone(key), i)
        x = mcmc.langevin(lambda x: -x @ jnp.asarray(PRECISION, x.dtype), x, step_key, 0.1)
    np.testing.assert_allclose(found, x, rtol=1e-5, atol=1e-6)


def test_hamiltonian_chains_keep_the_density():
    """20,000 points of N(0, Σ) keep their covariance within 4.5 standard errors."""
    n, net = 20_000, model(PRECISION)
    x = np.random.default_rng(0).multivariate_normal(np.zeros(2), COVARIANCE, n)
    walk = jax.jit(
        lambda x, k: energy.hamiltonian(net, x, k, n_steps=4, step_size=0.9, n_leapfrog=2)
    )
    end = np.asarray(walk(jnp.asarray(x, jnp.float32), jax.random.key(0)))
    diagonal = np.diag(COVARIANCE)
    error = np.sqrt((COVARIANCE**2 + np.outer(diagonal, diagonal)) / n)
    assert (np.abs(np.cov(end.T) - COVARIANCE) < 4.5 * error).all()
    assert np.abs(np.corrcoef(end[:, 0], x[:, 0])[0, 1]) < 0.5  # they have moved


@pytest.mark.parametrize(
    ("options", "name"),
    [({"n_steps": 0}, "n_steps"), ({"step_size": 0.0}, "step_size"), ({"noise": -1.0}, "noise"),
     ({"clip": 0.0}, "clip"), ({"bounds": (1.0, 0.0)}, "bounds")],
)  # fmt: skip
def test_bad_numbers_are_refused(options, name):
    with pytest.raises(ValueError, match=name):
        energy.langevin(model(), examples(4), jax.random.key(0), **options)
