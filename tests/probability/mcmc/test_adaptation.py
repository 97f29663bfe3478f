# SPDX-License-Identifier: Apache-2.0
"""Dual averaging finds the step size at which a wanted share of proposals is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import mcmc
from jaxml.probability.mcmc import adaptation


def test_the_search_is_that_of_the_paper(x64):
    """Equation 6 of Hoffman and Gelman in NumPy, along a sequence of acceptances with a NaN."""
    alphas = np.random.default_rng(0).uniform(size=30)
    alphas[3] = np.nan
    mu, error, average = np.log(10 * 0.3), 0.0, 0.0
    state = adaptation.init(jnp.asarray(0.3))
    for m, alpha in enumerate(alphas, 1):
        state = adaptation.update(state, jnp.asarray(alpha), target=0.65)
        a = 0.0 if np.isnan(alpha) else alpha
        error = (1 - 1 / (m + 10)) * error + (0.65 - a) / (m + 10)
        log_step = mu - np.sqrt(m) / 0.05 * error
        average = m**-0.75 * log_step + (1 - m**-0.75) * average
        np.testing.assert_allclose(state.log_step, log_step, rtol=1e-12)
        np.testing.assert_allclose(state.log_average, average, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "target", "start"),
    [("hmc", 0.8, 0.01), pytest.param("walk", 0.4, 30.0, marks=pytest.mark.slow)],
)
def test_the_wanted_share_is_reached_from_far_away(name, target, start):
    """From steps 30 times too short or too long, on ten numbers of unlike scales, to ± 0.05."""
    scale = jnp.linspace(0.5, 2.0, 10)

    def log_prob(x):
        return -0.5 * jnp.sum(jnp.square(x / scale))

    def kernel(chain, key, step):
        if name == "hmc":
            return mcmc.hamiltonian(log_prob, chain, key, step, 2)
        return mcmc.random_walk(log_prob, chain, key, step)

    @jax.jit
    def run(key):
        x_key, key, more = jax.random.split(key, 3)
        x = scale[None] * jax.random.normal(x_key, (32, 10))
        chains = jax.vmap(lambda x: mcmc.start(log_prob, x))(x)
        chains, step = mcmc.adapt(kernel, chains, key, 200, step_size=start, target=target)
        one = lambda c, k: mcmc.walk(lambda c, k: kernel(c, k, step), c, k, 50)[1][1]  # noqa: E731
        return step, jax.vmap(one)(chains, jax.random.split(more, 32)).acceptance.mean()

    step, share = run(jax.random.key(0))
    assert abs(share - target) < 0.05
    assert abs(np.log(step / start)) > 1


def test_bad_numbers_are_refused():
    kernel = lambda c, k, s: mcmc.random_walk(lambda x: -x, c, k, s)  # noqa: E731
    chains = mcmc.Chain(jnp.zeros(3), jnp.zeros(3))
    for n, size in ((0, 0.1), (3, 0.0)):
        with pytest.raises(ValueError, match="n, step_size"):
            mcmc.adapt(kernel, chains, jax.random.key(0), n, step_size=size)
    with pytest.raises(ValueError, match="target"):
        adaptation.update(adaptation.init(jnp.ones(())), jnp.ones(()), target=1.0)
