# SPDX-License-Identifier: Apache-2.0
"""Hamiltonian steps: reversible, of volume 1, of second order, and exact in law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxml.probability import mcmc

INVERSE_MASS = np.array([0.5, 1.0, 2.0])


def log_prob(x):
    """No Gaussian: coupled, with quartic walls."""
    return -0.5 * jnp.sum(jnp.square(x)) - 0.1 * jnp.sum(x**4) + 0.3 * x[0] * x[1]


def point(seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=3)), jnp.asarray(rng.normal(size=3))


def go(x, p, step_size=0.1, n=20):
    return mcmc.leapfrog(
        jax.grad(log_prob), x, p, step_size, n, inverse_mass=jnp.asarray(INVERSE_MASS)
    )


def test_a_path_with_its_momentum_turned_goes_back(x64):
    x, p = point()
    y, q = go(x, p)
    assert np.abs(y - x).max() > 0.1
    back, turned = go(y, -q)
    np.testing.assert_allclose(back, x, atol=1e-10)
    np.testing.assert_allclose(turned, -p, atol=1e-10)


def test_volume_is_kept(x64):
    """The Jacobian of (x, p) has determinant 1, and is symplectic: Jᵀ Ω J = Ω."""
    x, p = point(1)
    J = np.block([[np.asarray(b) for b in row] for row in jax.jacfwd(go, (0, 1))(x, p)])
    np.testing.assert_allclose(np.linalg.det(J), 1, atol=1e-10)
    omega = np.block([[np.zeros((3, 3)), np.eye(3)], [-np.eye(3), np.zeros((3, 3))]])
    np.testing.assert_allclose(J.T @ omega @ J, omega, atol=1e-10)


def test_the_energy_error_is_of_second_order(x64):
    """Over one length of path the slope of log error against log ε is 2 ± 0.1."""
    x, p = point(2)
    inverse = jnp.asarray(INVERSE_MASS)

    def energy(x, p):
        return mcmc.kinetic(p, inverse) - log_prob(x)

    sizes, errors = 0.1 / 2.0 ** np.arange(4), []
    for i, size in enumerate(sizes):
        y, q = go(x, p, float(size), 10 * 2**i)
        errors.append(abs(float(energy(y, q) - energy(x, p))))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope - 2) < 0.1


def test_a_quadratic_follows_the_closed_form(x64):
    """One step on ½x² is the matrix [[1 − ε²/2, ε], [−ε(1 − ε²/4), 1 − ε²/2]]."""
    eps = 0.3
    x, p = jnp.asarray([1.2]), jnp.asarray([-0.4])
    M = np.array([[1 - eps**2 / 2, eps], [-eps * (1 - eps**2 / 4), 1 - eps**2 / 2]])
    expected = np.linalg.matrix_power(M, 7) @ [1.2, -0.4]
    found = mcmc.leapfrog(lambda x: -x, x, p, eps, 7)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12)


def test_a_skewed_law_stays():
    """Exact draws of Gumbel's law are still of that law after three steps of 20,000 chains."""
    n = 20_000
    gumbel = lambda x: jnp.sum(-x - jnp.exp(-x))  # noqa: E731
    step = lambda c, k: mcmc.hamiltonian(gumbel, c, k, 0.9, 3, inverse_mass=1.7)  # noqa: E731

    @jax.jit
    def moved(key):
        x_key, key = jax.random.split(key)
        x = jax.random.gumbel(x_key, (n,))
        chains = jax.vmap(lambda x: mcmc.start(gumbel, x))(x)
        keys = jax.random.split(key, n)
        last, (_, moves) = jax.vmap(lambda c, k: mcmc.walk(step, c, k, 1, thin=3))(chains, keys)
        return last.x, moves.acceptance.mean()

    x, acceptance = moved(jax.random.key(0))
    assert scipy.stats.kstest(np.asarray(x), "gumbel_r").pvalue > 1e-4
    assert 0.3 < acceptance < 0.95  # so that the decision matters


def test_the_joint_law_of_parameters_and_data_stays():
    """Geweke: θ given data by the kernel and data given θ in turn leave both as the prior says.

    θ ~ N(0, 1), three data from N(θ, 2²) each; after 20 rounds of 20,000 chains θ, the data's mean
    and their product have the moments and the law that direct draws have.
    """
    n = 20_000

    @jax.jit
    def simulated(key):
        theta_key, key = jax.random.split(key)
        theta = jax.random.normal(theta_key, (n,))

        def once(theta, i):
            y_key, key_i = jax.random.split(jax.random.fold_in(key, i))
            y = theta[:, None] + 2 * jax.random.normal(y_key, (n, 3))

            def posterior(theta, y, key):
                def log_p(t):
                    return -0.5 * t**2 - 0.5 * jnp.sum(jnp.square(y - t)) / 4

                return mcmc.hamiltonian(log_p, mcmc.start(log_p, theta), key, 0.8, 2)[0].x

            return jax.vmap(posterior)(theta, y, jax.random.split(key_i, n)), y.mean(1)

        theta, means = jax.lax.scan(once, theta, jnp.arange(20))
        y_key = jax.random.fold_in(key, 1000)
        return theta, theta + 2 / jnp.sqrt(3.0) * jax.random.normal(y_key, (n,)), means[-1]

    theta, mean, before = map(np.asarray, simulated(jax.random.key(0)))
    scale = np.sqrt(1 + 4 / 3)
    assert scipy.stats.kstest(theta, "norm").pvalue > 1e-4
    assert scipy.stats.kstest(before / scale, "norm").pvalue > 1e-4
    assert abs((theta * before).mean() - 1) < 4.5 * np.std(theta * before) / np.sqrt(n)
    assert abs((theta * mean).mean() - 1) < 4.5 * np.std(theta * mean) / np.sqrt(n)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="n_steps"):
        mcmc.leapfrog(lambda x: -x, jnp.ones(1), jnp.ones(1), 0.1, 0)
