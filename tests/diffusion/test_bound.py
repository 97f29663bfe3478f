# SPDX-License-Identifier: Apache-2.0
"""The parts of the bound on normal data, where every mean over them is known.

All parts are quadratic in x_0 and ε, so their means over normal laws are those over x_0 = ± √v and
ε = ± 1, four points, exactly.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d

CHAINS = {"linear": d.linear_betas, "cosine": d.cosine_betas}
SIGNS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])


def levels(name, n_steps):
    """The noise at 0 … T−1 and at 1 … T."""
    noise = d.noise_of(CHAINS[name](n_steps))
    cut = [slice(0, -1), slice(1, None)]
    return [jax.tree.map(lambda a, part=part: a[part], noise) for part in cut]


def at(noise, i):
    return jax.tree.map(lambda a: a[i], noise)


def draws(after, variance):
    """x_0 and E[x_0 | x_t] at the four points, `(steps, 4)`."""
    x0 = jnp.asarray(np.sqrt(variance) * SIGNS[:, :1].T).repeat(len(after.alpha), axis=0)
    eps = jnp.asarray(SIGNS[:, 1:].T).repeat(len(after.alpha), axis=0)
    x = d.diffuse(x0, eps, after)
    a, s, _ = after.over(x)
    return x0, x, a * variance / (a**2 * variance + s**2) * x


def marginal(noise, variance):
    """V_t = α² v + σ²."""
    return noise.alpha**2 * variance + noise.sigma**2


def gap(ratio):
    """KL between centred normal laws whose variances have this ratio."""
    return 0.5 * (ratio - 1 - np.log(ratio))


@pytest.mark.parametrize(
    ("name", "variance", "small", "large"),
    [
        ("linear", 0.25, 0.4563, 0.0011),
        ("linear", 1.0, 0.4649, 0.0),
        ("cosine", 0.25, 0.4022, 6e-4),
    ],
)
def test_the_bound_lacks_what_its_variances_miss(name, variance, small, large, x64):
    """−ELBO − entropy = Σ_t KL(true reverse step ‖ used) + KL(q(x_T) ‖ N(0, 1)), in nats.

    Of a thousand steps with β̃ and with β; the sums from the second step on are known figures.
    """
    before, after = levels(name, 1000)
    x0, _, guess = draws(after, variance)
    first, last, rest = at(after, 0), at(after, -1), slice(1, None)
    true = marginal(before, variance) * d.reverse_variance(before, after, large=True)
    true = true / marginal(after, variance)
    entropy = 0.5 * np.log(2 * np.pi * np.e * variance)
    for is_large, figure in ((False, small), (True, large)):
        used = d.reverse_variance(before, after, large=is_large).at[0].set(true[0])
        steps = d.step_divergence(
            x0[rest], guess[rest], at(before, rest), at(after, rest), used[rest]
        )
        prior = d.prior_divergence(x0[-1], last)
        data = d.reconstruction(x0[0], guess[0], used[0])
        elbo = float(data.mean() - prior.mean() - steps.mean(1).sum())
        missing = float(gap(np.asarray(true[rest] / used[rest])).sum())
        at_the_end = float(gap(marginal(last, variance)))
        np.testing.assert_allclose(-elbo - entropy, missing + at_the_end, atol=1e-10)
        np.testing.assert_allclose(missing, figure, atol=6e-5)
    assert first.alpha > 0.99


def test_the_best_variance_is_that_of_the_true_step(x64):
    """On normal data V_{t−1} β_t/V_t; the mean divergence has no slope there and rises beside."""
    variance = 0.25
    before, after = (at(part, slice(1, None)) for part in levels("linear", 20))
    x0, _, guess = draws(after, variance)
    error = jnp.mean(jnp.square(x0 - guess), axis=1)
    best = d.best_variance(before, after, error)
    beta = d.reverse_variance(before, after, large=True)
    true = marginal(before, variance) * beta / marginal(after, variance)
    np.testing.assert_allclose(best, true, rtol=1e-10)

    def mean(used):
        return d.step_divergence(x0, guess, before, after, used).mean(1).sum()

    np.testing.assert_allclose(jax.grad(mean)(best) * best, 0, atol=1e-10)
    for factor in (0.9, 1.1):
        assert mean(best * factor) > mean(best)


def test_the_divergence_of_a_step_is_that_of_two_normal_laws(x64):
    """Against posterior means and variances at random x_t, x_0 and guesses."""
    rng = np.random.default_rng(0)
    before, after = (at(part, slice(1, None)) for part in levels("cosine", 8))
    x0, guess, x = (jnp.asarray(rng.normal(size=(7, 5))) for _ in range(3))
    used = jnp.asarray(rng.uniform(0.01, 0.5, 7))
    step = d.posterior(before.over(x), after.over(x))
    means = [step.of_now * x + step.of_start * a for a in (x0, guess)]
    ratio = np.asarray(step.variance / used[:, None])
    square = np.asarray((means[0] - means[1]) ** 2 / used[:, None])
    expected = 0.5 * (ratio + square - 1 - np.log(ratio))
    found = d.step_divergence(x0, guess, before, after, used)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_the_divergence_from_the_prior_knows_its_scale(x64):
    """KL(N(α x_0, σ²) ‖ N(0, s²)) by its formula, one noise a row."""
    x0 = jnp.asarray([[0.5, -2.0], [1.0, 3.0]])
    last = d.Noise(jnp.asarray([0.1, 1.0]), jnp.asarray([0.9, 50.0]), jnp.asarray([0.0, 0.0]))
    s, mean = 30.0, np.asarray(last.alpha[:, None] * x0)
    variance = np.asarray(last.sigma[:, None]) ** 2
    expected = 0.5 * ((variance + mean**2) / s**2 - 1 - np.log(variance / s**2))
    np.testing.assert_allclose(d.prior_divergence(x0, last, s), expected, rtol=1e-12)


@pytest.mark.parametrize("large", [False, True])
def test_k_is_the_bound_with_a_tied_last_step(large, x64):
    """On data of unit variance the means of K and of the bound agree; on others they do not."""
    before, after = levels("linear", 50)
    used = d.reverse_variance(before, after, large=large)[1:]
    later = [at(part, slice(1, None)) for part in (before, after)]
    for variance, agree in ((1.0, True), (0.25, False)):
        x0, x, guess = draws(after, variance)
        steps = d.step_divergence(x0[1:], guess[1:], *later, used).mean(1).sum()
        tied = d.tied_reconstruction(x0[0], x[0], at(after, 0)).mean()
        bound = float(tied - d.prior_divergence(x0[0], at(after, -1)).mean() - steps)
        k = float(d.k_bound(steps, at(after, 0), at(after, -1)))
        assert (abs(k - bound) < 1e-10) == agree
    # Of unit normal data every step is known: with β the chain is its own reverse.
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    if large:
        x0, _, guess = draws(after, 1.0)
        steps = d.step_divergence(x0[1:], guess[1:], *later, used).mean(1).sum()
        k = float(d.k_bound(steps, at(after, 0), at(after, -1)))
        np.testing.assert_allclose(k, -entropy, atol=1e-10)


def test_the_tied_step_is_a_law_of_its_own(x64):
    """It integrates to 1 over x_0, since π stays under the chain: N(α x_1, 1 − α²) again."""
    alpha = 0.8
    first = d.Noise(jnp.asarray(alpha), jnp.asarray(0.6), jnp.asarray(2 * np.log(alpha / 0.6)))
    x0, x1 = np.linspace(-9, 9, 2001), 0.7
    log_p = d.tied_reconstruction(jnp.asarray(x0), jnp.full(2001, x1), first)
    normal = -0.5 * ((x0 - alpha * x1) / 0.6) ** 2 - 0.5 * np.log(2 * np.pi * 0.36)
    np.testing.assert_allclose(log_p, normal, rtol=1e-10, atol=1e-10)
