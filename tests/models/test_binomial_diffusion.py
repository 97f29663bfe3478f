# SPDX-License-Identifier: Apache-2.0
"""Diffusion of bits against sums over all states of three bits."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from jaxml import diffusion as d
from jaxml.models import binomial_diffusion
from jaxml.models.binomial_diffusion import BinomialDiffusion
from jaxml.nn import TimeMLP

N, T = 3, 6
STATES = np.array(list(itertools.product([0.0, 1.0], repeat=N)))


@pytest.fixture
def model(with_numbers):
    """Three bits, six steps, and a network that says something of each."""

    def build():
        return TimeMLP(N, 8, 1, rngs=nnx.Rngs(0))

    return BinomialDiffusion(with_numbers(build), N, T, power=1.5)


def bits(p):
    """Π over bits of B(x; p), for all rows of p and all states x."""
    return np.prod(np.where(STATES[None] > 0, p[:, None], 1 - p[:, None]), axis=2)


def chain(model):
    betas = d.binomial_betas(model.n_steps, model.power)
    return np.asarray(betas, "f8"), np.asarray(d.lost(betas), "f8")


def reverse(model, t):
    """p(x_{t−1} | x_t) among all states."""
    betas, lost = chain(model)
    x = jnp.asarray(STATES, jnp.float32)
    guess = binomial_diffusion.guess(model, x, jnp.full(len(STATES), t))
    odds = d.binomial_reverse(x, guess, jnp.float32(betas[t - 1]), jnp.float32(lost[t - 1]))
    return bits(1 / (1 + np.exp(-np.asarray(odds, "f8"))))


def forward(p):
    """States with every bit changed with probability p."""
    return bits(np.where(STATES > 0, 1 - p, p))


def k_of_all(model):
    """K of every state, by the sum over all x_t of every step."""
    betas, lost = chain(model)
    total = np.zeros(len(STATES))
    for t in range(2, T + 1):
        before, step = forward(0.5 * lost[t - 1]), forward(0.5 * betas[t - 1])
        joint = before[:, :, None] * step[None]  # x_0, x_{t−1}, x_t
        truth = joint / joint.sum(1, keepdims=True)
        total += (joint * (np.log(truth) - np.log(reverse(model, t).T)[None])).sum((1, 2))
    p = 0.5 * betas[0]
    return -total + N * (p * np.log(p) + (1 - p) * np.log(1 - p))


def test_k_and_the_loss_are_unbiased(model):
    """Means over 20,000 draws of every state's K, and of the loss, within 4.5 standard errors."""
    exact = k_of_all(model)
    n = 20_000
    run = jax.jit(lambda x, key, n_times: binomial_diffusion.k_bound(model, x, key,
                  n_times=n_times), static_argnums=2)  # fmt: skip
    for i in (0, 3, 6):
        x = jnp.broadcast_to(jnp.asarray(STATES[i], jnp.float32), (n, N))
        k = np.asarray(run(x, jax.random.key(i), 5))
        error = k.std(ddof=1) / np.sqrt(n)
        assert error < 0.02
        assert abs(k.mean() - exact[i]) < 4.5 * error
    # Times rise with the rows of a batch: every state must meet all of them.
    x = jnp.asarray(np.tile(STATES, (2500, 1)), jnp.float32)
    loss, metrics = jax.jit(binomial_diffusion.loss)(model, x, jax.random.key(9))
    spread = np.asarray(run(x, jax.random.key(9), 1)).std() / np.sqrt(len(x))
    assert abs(float(loss) + exact.mean()) < 4.5 * spread
    np.testing.assert_allclose(metrics["k_bits"], -loss / np.log(2), rtol=1e-6)


def test_samples_have_the_law_of_the_chain(model):
    """Frequencies of the eight states against products of the reverse steps: χ², p > 1e-4."""
    betas, _ = chain(model)
    law = np.full(len(STATES), 2.0**-N)
    for t in range(T, 1, -1):
        law = law @ reverse(model, t)
    law = law @ forward(0.5 * betas[0])
    n = 40_000
    x = np.asarray(
        jax.jit(binomial_diffusion.sample, static_argnums=2)(model, jax.random.key(0), n)
    )
    counts = np.bincount((x @ 2 ** np.arange(N)[::-1]).astype(int), minlength=len(STATES))
    assert stats.chisquare(counts, n * law / law.sum()).pvalue > 1e-4
    mean = (law * k_of_all(model)).sum()
    assert mean < (law * np.log(law)).sum()  # K of the model's own law stays below it


def test_a_trajectory_ends_in_the_sample(model):
    """From x_T to x_0, T + 1 levels of the same draws."""
    way = binomial_diffusion.trajectory(model, jax.random.key(0), 4)
    assert way.shape == (T + 1, 4, N)
    found = binomial_diffusion.sample(model, jax.random.key(0), 4)
    np.testing.assert_array_equal(way[-1], found)
    assert ((way == 0) | (way == 1)).all()


def test_the_least_noise_leaves_finite_numbers(model):
    """With T = 5000 and p = 2 a bit is lost with probability 4e-8: loss and slopes stay finite."""
    long = BinomialDiffusion(model.network, N, 5000, power=2.0)
    x, t = jnp.asarray(STATES, jnp.float32), jnp.full(len(STATES), 2)
    assert jnp.isfinite(binomial_diffusion.guess(long, x, t)).all()
    slope = jax.value_and_grad(lambda m, x, key: binomial_diffusion.loss(m, x, key)[0])
    loss, grads = jax.jit(slope)(long, jnp.tile(x, (64, 1)), jax.random.key(0))
    assert jnp.isfinite(loss)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_bad_sizes_are_refused(model):
    for n_bits, n_steps in ((0, 5), (3, 1)):
        with pytest.raises(ValueError, match="n_bits, n_steps"):
            BinomialDiffusion(model.network, n_bits, n_steps)
    with pytest.raises(ValueError, match="power"):
        BinomialDiffusion(model.network, N, T, power=0.5)
    with pytest.raises(ValueError, match="n_times"):
        binomial_diffusion.k_bound(model, jnp.zeros((1, N)), jax.random.key(0), n_times=0)
