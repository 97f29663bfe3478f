# SPDX-License-Identifier: Apache-2.0
"""Every way to learn an energy finds that of a Gaussian: E = ½xᵀAx with A = Σ⁻¹ within 2 %."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models import energy
from tests.models.energy.case import COVARIANCE, LOG_Z, PRECISION, examples, model, precision, train

SIGMA, WIDTH = 0.5, 1.2
NOISY = np.linalg.inv(COVARIANCE + SIGMA**2 * np.eye(2))
NOISE = energy.Noise(
    lambda x: -0.5 * jnp.sum(x**2, axis=1) / WIDTH**2 - np.log(2 * np.pi * WIDTH**2),
    lambda key, n: WIDTH * jax.random.normal(key, (n, 2)),
)
EXACT = partial(energy.hamiltonian, step_size=0.5, n_leapfrog=2)
CASES = {
    "implicit": (energy.implicit_loss, PRECISION),
    "sliced": (energy.sliced_loss, PRECISION),
    "denoising": (partial(energy.denoising_loss, sigma=SIGMA), NOISY),
    "noise contrast": (partial(energy.noise_contrastive_loss, noise=NOISE), PRECISION),
    "chains from data": (partial(energy.contrastive_loss, walk=EXACT, alpha=0.0), PRECISION),
}


@pytest.mark.parametrize("name", CASES)
def test_a_gaussian_is_recovered(name):
    """300 steps on 4000 points of the exact covariance; noise contrast finds log Z too."""
    loss, expected = CASES[name]
    (net, _), metrics = train(loss, examples(4000), 300)
    size = np.abs(expected).max()
    np.testing.assert_allclose(precision(net), expected, atol=0.02 * size)
    assert np.isfinite(metrics["loss"]).all()
    if name == "noise contrast":
        assert abs(float(net.log_z[...]) - LOG_Z) < 0.02 * LOG_Z
        assert 0.5 < metrics["told_apart"][-1] < 0.8
    else:
        assert net.log_z[...] == 0


def test_a_gaussian_is_recovered_by_chains_that_live_on():
    """Persistent contrastive divergence from chains that begin three times too wide."""

    def make(learn):
        fresh = lambda key, n: 3 * jax.random.normal(key, (n, 2))  # noqa: E731
        return energy.rule(learn, EXACT, fresh, size=4000, reinit=0.0)

    loss = partial(energy.contrastive_loss, alpha=0.0)
    (net, state), metrics = train(loss, examples(4000), 300, make=make)
    np.testing.assert_allclose(precision(net), PRECISION, atol=0.02 * PRECISION.max())
    assert abs(metrics["spread"][-1] - 1) < 0.05
    chains = np.asarray(state["chains"])
    np.testing.assert_allclose(np.cov(chains.T), COVARIANCE, atol=0.1)


def test_the_magnitude_shrinks_what_is_learned():
    """α = 0.1 leaves a flatter density than α = 0: the penalty is a bias."""
    loss = partial(energy.contrastive_loss, walk=EXACT, alpha=0.1)
    (net, _), _ = train(loss, examples(1000), 200)
    assert (np.linalg.eigvalsh(precision(net)) < 0.97 * np.linalg.eigvalsh(PRECISION)).all()


def test_the_energy_is_the_network_and_the_base():
    """E(x) = f(x) + ‖x‖²/(2s²); a column of energies is as good; score and log-density follow."""
    x = examples(5)
    net = model(PRECISION)
    exact = 0.5 * np.einsum("ni,ij,nj->n", x, PRECISION, x)
    np.testing.assert_allclose(energy.energy(net, x), exact, rtol=1e-5)
    np.testing.assert_allclose(energy.score(net, x), -x @ PRECISION, rtol=1e-4, atol=1e-6)
    with_base = energy.EnergyModel(lambda x: net.network(x)[:, None], scale=2.0)
    np.testing.assert_allclose(
        energy.energy(with_base, x), exact + (np.asarray(x) ** 2).sum(1) / 8, rtol=1e-5
    )
    net.log_z[...] = jnp.asarray(1.5)
    np.testing.assert_allclose(energy.log_density(net, x), -exact - 1.5, rtol=1e-5)
    with pytest.raises(ValueError, match="network: expected one number"):
        energy.energy(energy.EnergyModel(lambda x: x), x)
    with pytest.raises(ValueError, match="scale"):
        energy.EnergyModel(lambda x: x, scale=0.0)


def test_draws_are_constants_and_have_to_be_given():
    """No gradient flows through the walk; without draws or a walk the loss says so."""
    x, net = examples(20), model()
    held = {"x": x, "fake": 2 * x}
    walk = lambda model, x, key: 2 * x * model.network.matrix[0, 0]  # noqa: E731
    given, walked = (
        jax.grad(lambda m, f=f: f(m)[0])(net)
        for f in (
            lambda m: energy.contrastive_loss(m, held, jax.random.key(0)),
            lambda m: energy.contrastive_loss(m, x, jax.random.key(0), walk=walk),
        )
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), given, walked)
    value, metrics = energy.contrastive_loss(net, held, jax.random.key(0), alpha=0.1)
    real = 0.5 * (np.asarray(x) ** 2).sum(1)
    expected = np.mean(real - 4 * real + 0.1 * (real**2 + 16 * real**2))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["fake"], 4 * real.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["spread"], 2, rtol=1e-5)
    with pytest.raises(ValueError, match="fake"):
        energy.contrastive_loss(net, x, jax.random.key(0))
