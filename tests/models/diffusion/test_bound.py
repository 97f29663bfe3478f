# SPDX-License-Identifier: Apache-2.0
"""Bounds of the best possible network on normal data, against what they lack in closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from jaxml.models import diffusion

MEAN, VARIANCE = 0.3, 0.25
ENTROPY = np.log(2 * np.pi * np.e * VARIANCE)  # of two numbers
N = 4000


def gap(ratio):
    return 0.5 * (ratio - 1 - np.log(ratio))


def true_variances(path):
    """Of x_s given x_t, for every step of a path that ends clean."""
    alpha, sigma = np.asarray(path.noise.alpha), np.asarray(path.noise.sigma)
    total = alpha**2 * VARIANCE + sigma**2
    forth = sigma[:-1] ** 2 - (alpha[:-1] / alpha[1:]) ** 2 * sigma[1:] ** 2
    return forth * total[1:] / total[:-1]


@pytest.mark.parametrize("schedule", [d.cosine(), d.edm(0.02, 2.0)], ids=["cosine", "edm"])
def test_the_bound_of_a_chain_lacks_what_its_variances_miss(schedule, best_model, normal_data, x64):
    """Mean of the terms + entropy = −Σ KL(true step ‖ used) − KL of the prior: 4.5 s.e."""
    model, x = best_model(schedule), normal_data(np.random.default_rng(0), N)
    path = d.points(schedule, d.grid.uniform(8, last=0.1))
    found = jax.jit(lambda x, key, used: diffusion.terms(model, x, key, path, used))
    true = true_variances(path)
    prior = 2 * 0.5 * (path.noise.alpha[0] ** 2 * (MEAN**2 + VARIANCE)) / path.noise.sigma[0] ** 2
    for used in (diffusion.variances(path), diffusion.variances(path, large=True), true):
        terms = found(x, jax.random.key(1), jnp.asarray(used))
        lost = 2 * gap(true / np.asarray(used)).sum() + float(prior)
        elbo = np.asarray(terms.elbo())
        error = elbo.std(ddof=1) / np.sqrt(N)
        assert error < 0.1
        assert abs(elbo.mean() + ENTROPY + lost) < 4.5 * error
        assert terms.steps.shape == (8, N)
        assert (terms.steps >= 0).all()
        assert (terms.prior >= 0).all()


def test_measured_variances_are_the_true_ones(best_model, normal_data, x64):
    """Each within 4.5 standard errors of Var(x_s | x_t), the last one too."""
    model, x = best_model(d.cosine()), normal_data(np.random.default_rng(0), N)
    path = d.points(d.cosine(), d.grid.uniform(8))
    found = jax.jit(lambda x, key: diffusion.best_variances(model, x, key, path))
    ratio = np.asarray(found(x, jax.random.key(1))) / true_variances(path)
    assert (abs(ratio - 1) < 4.5 * np.sqrt(2 / (2 * N))).all()


@pytest.mark.parametrize(
    "schedule", [d.cosine(-6.0, 6.0), d.linear_log_snr(-6.0, 6.0)], ids=["cosine", "linear"]
)
def test_the_continuous_bound_of_the_best_network_is_tight(schedule, best_model, normal_data, x64):
    """−½ log 2πe v up to the ends: reconstruction, diffusion and prior each in closed form."""
    model, x = best_model(schedule), normal_data(np.random.default_rng(0), N)
    found = jax.jit(lambda x, key: diffusion.continuous_terms(model, x, key, n_times=20))
    terms = found(x, jax.random.key(1))
    first, last = np.exp(6.0), np.exp(-6.0)
    expected = {
        "reconstruction": -np.log(2 * np.pi / first) - 1,
        "diffusion": np.log1p(VARIANCE * first) - np.log1p(VARIANCE * last),
        "prior": (MEAN**2 + VARIANCE) * last,
    }
    for name, value in expected.items():
        each = np.asarray(getattr(terms, name))
        error = each.std(ddof=1) / np.sqrt(N)
        assert abs(each.mean() - value) < 4.5 * error, name
    whole = expected["reconstruction"] - expected["diffusion"] - expected["prior"]
    assert -ENTROPY - 0.02 < whole < -ENTROPY
    elbo = np.asarray(terms.elbo())
    assert elbo.std(ddof=1) / np.sqrt(N) < 0.05
    np.testing.assert_array_equal(
        elbo, np.asarray(terms.reconstruction - terms.prior - terms.diffusion)
    )


def test_more_steps_approach_the_continuous_bound(best_model, normal_data, x64):
    """The diffusion parts at the same ends: a chain's is above, half as far at twice the steps."""
    model = best_model(d.linear_log_snr(-8.0, 8.0))
    exact = np.log1p(VARIANCE * np.exp(8.0)) - np.log1p(VARIANCE * np.exp(-8.0))
    gaps = []
    for n in (80, 160, 320):
        # x_0 = m ± √v and ε = ± 1 make means of quadratics exact: every step by its own error.
        path = d.points(model.schedule, jnp.linspace(1.0, 0.0, n + 1), clean=False)
        after, before = (jax.tree.map(lambda a, part=part: a[part], path.noise) for part in
                         (slice(0, -1), slice(1, None)))  # fmt: skip
        square = VARIANCE * after.sigma**2 / (after.alpha**2 * VARIANCE + after.sigma**2)
        zero = jnp.zeros_like(square)
        used = d.reverse_variance(before, after)
        each = d.step_divergence(jnp.sqrt(square), zero, before, after, used)
        gaps.append(2 * float(each.sum()) - exact)
    ratios = np.array(gaps[:-1]) / np.array(gaps[1:])
    assert gaps[-1] > 0
    np.testing.assert_allclose(ratios, 2, atol=0.1)


def test_the_bound_of_whole_numbers_is_one_of_their_entropy(x64):
    """Three levels with the best network: never above −H, and close to it with many steps."""
    schedule = d.cosine(-9.0, 9.0)
    places, law = np.array([[-1.0, 0.0, 1.0]]), np.array([0.5, 0.2, 0.3])
    log_law = jnp.log(jnp.asarray(law))[None]

    def network(x, t, context=None):
        noise = schedule.at(t).over(x)
        z = (x - noise.alpha * places) / noise.sigma
        x0 = jax.nn.softmax(log_law - 0.5 * jnp.square(z)) @ jnp.asarray(places.T)
        return d.V.target(d.Clean(x0, (x - noise.alpha * x0) / noise.sigma), noise)

    model = diffusion.Diffusion(network, schedule, parameterization=d.V, shape=(1,))
    x = jnp.asarray(np.repeat(places, (N * law).astype(int)))[:, None]
    entropy, bounds = -np.sum(law * np.log(law)), []
    for n in (10, 40, 400):
        path = d.points(schedule, d.grid.uniform(n, last=0.0))
        used = diffusion.best_variances(model, x, jax.random.key(1), path)
        terms = jax.jit(partial(diffusion.terms, model, levels=3))(
            x, jax.random.key(2), path=path, used=used
        )
        elbo = np.asarray(terms.elbo())
        bounds.append(elbo.mean())
        assert bounds[-1] < -entropy + 4.5 * elbo.std(ddof=1) / np.sqrt(N)
    assert bounds[0] < bounds[1] < bounds[2]
    assert bounds[2] > -entropy - 0.03


def test_k_is_made_of_the_steps_and_three_entropies(best_model, normal_data, x64):
    """−Σ KL + D (H_q(x_T | x_0) − H_q(x_1 | x_0) − H_p(x_T)), row by row."""
    model, x = best_model(d.cosine()), normal_data(np.random.default_rng(0), 5)
    path = d.points(d.cosine(), d.grid.uniform(6, last=0.1))
    terms = diffusion.terms(model, x, jax.random.key(1), path, diffusion.variances(path))
    first, last = (float(path.noise.sigma[i]) for i in (-2, 0))
    entropies = np.log(last) - np.log(first) - 0.5 * np.log(2 * np.pi * np.e)
    expected = -np.asarray(terms.steps).sum(0) + 2 * entropies
    np.testing.assert_allclose(diffusion.k_bound(terms, path, 2), expected, rtol=1e-12)


def test_bad_sizes_are_refused(best_model, normal_data):
    model, x = best_model(d.cosine()), normal_data(np.random.default_rng(0), 3)
    path = d.points(d.cosine(), d.grid.uniform(4))
    with pytest.raises(ValueError, match="used"):
        diffusion.terms(model, x, jax.random.key(0), path, jnp.ones(4))
    with pytest.raises(ValueError, match="n_times"):
        diffusion.continuous_terms(model, x, jax.random.key(0), n_times=0)
