# SPDX-License-Identifier: Apache-2.0
"""The way back of bits and its bound, against sums over all trajectories of a few bits."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxml import diffusion as d
from jaxml.data.pattern import heartbeat

N, T = 2, 4
STATES = np.array(list(itertools.product([0.0, 1.0], repeat=N)))
DATA = np.array([0.5, 0.1, 0.15, 0.25])


def bits(p, x):
    """Π over bits of B(x; p), for all rows of p and of x."""
    return np.prod(np.where(x[None] > 0, p[:, None], 1 - p[:, None]), axis=2)


def chain(n_steps, power=1.0):
    betas = d.binomial_betas(n_steps, power)
    return np.asarray(betas), np.asarray(d.lost(betas))


def forward(beta):
    """q(x_t | x_{t−1}) among all states."""
    return bits(np.asarray(d.binomial_step(jnp.asarray(STATES), jnp.asarray(beta))), STATES)


def guesses(seed, n_steps):
    """A network that has learned nothing in particular: log-odds a step, state and bit."""
    return np.random.default_rng(seed).normal(size=(n_steps + 1, len(STATES), N))


def reverse(guess, beta, lost):
    """p(x_{t−1} | x_t) among all states."""
    x, g = jnp.asarray(STATES), jnp.asarray(guess)
    odds = d.binomial_reverse(x, g, jnp.asarray(beta), jnp.asarray(lost))
    return bits(1 / (1 + np.exp(-np.asarray(odds))), STATES)


def k_of_all(guess, betas, lost):
    """K of every x_0 in expectation over x_1 … x_T, from the library's parts."""
    states = jnp.asarray(STATES)
    x0, x = (jnp.broadcast_to(a, (len(STATES), *STATES.shape)) for a in (states[:, None], states))

    def term(place):
        guess, beta, gone_before, gone = place
        jump = d.binomial_jump(states, 1 - gone)[:, None]
        weight = jnp.prod(jnp.where(x > 0, jump, 1 - jump), axis=2)  # q(x_t | x_0)
        guess = jnp.broadcast_to(guess, x.shape)
        each = d.binomial_step_divergence(x, x0, guess, beta, gone_before).sum(2)
        return jnp.sum(weight * each, axis=1)

    places = np.asarray(guess)[2:], betas[1:], lost[1:-1], lost[2:]
    total = jax.lax.map(jax.jit(term), jax.tree.map(jnp.asarray, places)).sum(0)
    return np.asarray(N * d.binomial_k_bound(total / N, jnp.asarray(betas[0])))


def test_k_is_jensens_bound_on_the_average_over_trajectories(x64):
    """p(x_0) = E_q Π p/q over all trajectories, and K is the mean of the logarithm of Π p/q."""
    (betas, lost), guess = chain(T), guesses(0, T)
    q = [forward(beta) for beta in betas]
    p = [q[0].T] + [reverse(guess[t], betas[t - 1], lost[t - 1]) for t in range(2, T + 1)]
    np.testing.assert_allclose(p[0].sum(1), 1, rtol=1e-12)  # the tied step is a law over x_0
    mass, k = np.zeros(len(STATES)), np.zeros(len(STATES))
    for path in itertools.product(range(len(STATES)), repeat=T + 1):
        steps = list(enumerate(itertools.pairwise(path)))
        likely = np.prod([q[i][a, b] for i, (a, b) in steps])
        model = 2.0**-N * np.prod([p[i][b, a] for i, (a, b) in steps])
        mass[path[0]] += likely * (model / likely)
        k[path[0]] += likely * np.log(model / likely)
    exact = np.full(len(STATES), 2.0**-N)
    for step in reversed(p):
        exact = exact @ step
    np.testing.assert_allclose(mass, exact, rtol=1e-12)
    np.testing.assert_allclose(mass.sum(), 1, rtol=1e-12)
    assert (k <= np.log(mass)).all()
    np.testing.assert_allclose(k_of_all(guess, betas, lost), k, rtol=1e-10)


def best_guesses(lost):
    """The log-odds of every bit of x_0 that Bayes gives for the law DATA."""
    found = [np.zeros((len(STATES), N))]
    for left in 1 - lost[1:]:
        jump = np.asarray(d.binomial_jump(jnp.asarray(STATES), jnp.asarray(left)))
        joint = DATA[:, None] * bits(jump, STATES)
        one = (joint / joint.sum(0)).T @ STATES
        found.append(np.log(one) - np.log1p(-one))
    return found


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_bound_is_an_equality_in_the_quasi_static_limit(power, x64):
    """With Bayes's guesses E K rises to E log p(x_0), which it never exceeds; about as 1/T."""
    truth = DATA @ np.log(DATA)
    gaps = []
    for n_steps in (16, 64, 256, 1024):
        betas, lost = chain(n_steps, power)
        gaps.append(truth - DATA @ k_of_all(best_guesses(lost), betas, lost))
    assert gaps[-1] > 0
    ratios = np.array(gaps[:-1]) / np.array(gaps[1:])
    # log T/T for p = 1, because the first step costs β log 1/β; 1/T otherwise.
    assert (ratios > (2.4 if power == 1 else 3.2)).all()
    assert gaps[-1] < 0.05


def test_the_mean_over_both_bits_is_the_mean_of_both_posteriors(x64):
    """σ(log-odds) = g q(· | x_0 = 1) + (1 − g) q(· | x_0 = 0), and q itself where g is sure."""
    betas, lost = chain(7)
    x = jnp.asarray([0.0, 1.0])
    for t in range(2, 8):
        beta, gone = jnp.asarray(betas[t - 1]), jnp.asarray(lost[t - 1])
        sure = [
            np.asarray(d.binomial_posterior(x, jnp.full(2, bit), beta, 1 - gone))
            for bit in (0.0, 1.0)
        ]
        for g in (0.01, 0.5, 0.9):
            odds = jnp.full(2, np.log(g / (1 - g)))
            found = 1 / (1 + np.exp(-np.asarray(d.binomial_reverse(x, odds, beta, gone))))
            np.testing.assert_allclose(found, g * sure[1] + (1 - g) * sure[0], rtol=1e-12)
        limit = np.asarray(d.binomial_reverse(x, jnp.full(2, 800.0), beta, gone))
        np.testing.assert_allclose(1 / (1 + np.exp(-limit)), sure[1], rtol=1e-12)


@pytest.mark.parametrize("a", [-60.0, -9.0, -0.3, 0.0, 2.0, 12.0, 80.0])
@pytest.mark.parametrize("change", [-90.0, -31.0, -4.0, -1e-3, 1e-3, 0.5, 29.0, 200.0])
def test_the_divergence_keeps_its_digits(a, change):
    """In single precision against 60 digits, up to four roundings of p δ, of which it is a rest."""
    a = float(np.float32(a))
    b = float(np.float32(a + change))
    with mpmath.workdps(60):
        p, q = (1 / (1 + mpmath.exp(-mpmath.mpf(v))) for v in (a, b))
        p_, q_ = (1 / (1 + mpmath.exp(mpmath.mpf(v))) for v in (a, b))
        truth = float(p * mpmath.log(p / q) + p_ * mpmath.log(p_ / q_))
        rare = float(min(p, p_))
    found = float(d.binomial_divergence(jnp.float32(a), jnp.float32(b)))
    assert abs(found - truth) <= 3e-6 * truth + 2.4e-7 * rare * abs(b - a) + 1e-38
    slope = jax.grad(lambda b: d.binomial_divergence(jnp.float32(a), b))(jnp.float32(b))
    expected = float(q - p) if abs(a) < 20 else float(p_ - q_)
    assert abs(float(slope) - expected) <= 1e-6 + 1e-5 * abs(expected)


def test_entropies_are_those_of_coins(x64):
    """Against −Σ p log p with 0 at both ends, where the slope is infinite and no NaN."""
    p = np.array([0.1, 0.5, 0.9, 1e-12])
    truth = [float(-v * mpmath.log(v) - (1 - mpmath.mpf(v)) * mpmath.log1p(-v)) for v in p]
    np.testing.assert_allclose(d.binomial_entropy(jnp.asarray(p)), truth, rtol=1e-12)
    np.testing.assert_array_equal(d.binomial_entropy(jnp.asarray([0.0, 1.0])), 0)


def test_what_is_lost_is_what_is_not_kept():
    """In single precision lost keeps the digits that 1 − kept has not."""
    betas = d.binomial_betas(5000, 2.0)
    expected = (np.arange(5001) / 5000) ** 2
    np.testing.assert_allclose(d.lost(betas), expected, rtol=2e-5)
    np.testing.assert_allclose(d.kept(betas), 1 - expected, atol=2e-5)
    with pytest.raises(ValueError, match="power"):
        d.binomial_betas(10, 0.5)


def test_the_paper_reaches_what_its_chain_can(x64):
    """Of the heartbeat with T = 2000 the best possible K is −2.40 bits: the paper has −2.414.

    Within 4.5 standard errors, from Bayes's guess for the five phases. The truth is −log2 5 =
    −2.3219, which the first step alone keeps away: it costs 20 binary entropies of 1/4000.
    """
    pattern = heartbeat()
    beats = jnp.asarray((np.arange(20) % 5 == np.arange(5)[:, None]).astype(float))
    betas, lost = (jnp.asarray(a) for a in chain(2000))

    def term(place):
        key, t = place
        data_key, noise_key = jax.random.split(key)
        x0 = pattern.sample(data_key, 32).astype(float)
        kept = 1 - lost[t]
        x = jax.random.bernoulli(noise_key, d.binomial_jump(x0, kept)).astype(float)
        odds = jnp.log1p(kept) - jnp.log1p(-kept)
        phase = jax.nn.softmax(0.5 * odds * (2 * x - 1) @ (2 * beats - 1).T, axis=1)
        one = phase @ beats
        guess = jnp.log(one) - jnp.log1p(-one)
        part = betas[t - 1], lost[t - 1]
        each = d.binomial_step_divergence(x, x0, guess, *part).sum(1)
        return each.mean(), each.var() / 32

    places = jax.random.split(jax.random.key(0), 1999), jnp.arange(2, 2001)
    mean, variance = jax.jit(lambda p: jax.lax.map(term, p, batch_size=50))(places)
    k = float(20 * d.binomial_k_bound(mean.sum() / 20, betas[0])) / np.log(2)
    error = float(jnp.sqrt(variance.sum())) / np.log(2)
    assert error < 0.03
    assert abs(k - -2.40) < 4.5 * error
    assert k < -np.log2(5)
