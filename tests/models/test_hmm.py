# SPDX-License-Identifier: Apache-2.0
"""Hidden Markov models that learn: one step against sums over all paths, and where steps lead."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models import hmm
from jaxml.probability import gaussian_mixture as gaussians

K, T, SYMBOLS = 2, 4, 3


def random_model(seed=0, *, gaussian=False):
    rng = np.random.default_rng(seed)
    if gaussian:
        emission = hmm.Gaussian(
            jnp.asarray(rng.normal(size=(K, 2))), jnp.ones((K, 2)), kind=gaussians.DIAGONAL
        )
    else:
        emission = hmm.Categorical(jnp.asarray(np.log(rng.dirichlet(np.ones(SYMBOLS), size=K))))
    initial, transition = np.log(rng.dirichlet(np.ones(K))), np.log(rng.dirichlet(np.ones(K), K))
    return hmm.HiddenMarkov(jnp.asarray(initial), jnp.asarray(transition), emission)


def learned(model, batch, n_steps):
    rule = hmm.baum_welch()

    def step(model, _):
        model, _, metrics = rule.update(model, (), batch, jax.random.key(0))
        return model, metrics["log_prob"]

    return jax.jit(lambda model: jax.lax.scan(step, model, length=n_steps))(model)


def test_a_step_has_the_expectations_of_all_paths(x64):
    """Two sequences, one of them shorter: every parameter of the next model, to 1e-12."""
    model = random_model()
    x = np.array([[0, 2, 1, 1], [1, 0, 2, 0]])
    mask = np.array([[True] * 4, [True, True, True, False]])
    assert isinstance(model.emission, hmm.Categorical)
    initial, transition = np.exp(model.log_initial[...]), np.exp(model.log_transition[...])
    emission = np.exp(model.emission.log_prob[...])
    first, steps, shown = np.zeros(K), np.zeros((K, K)), np.zeros((K, SYMBOLS))
    total = 0.0
    for row, seen in zip(x, mask, strict=True):
        weights = {}
        for path in itertools.product(range(K), repeat=T):
            p = initial[path[0]] * np.prod([transition[a, b] for a, b in itertools.pairwise(path)])
            weights[path] = p * np.prod(np.where(seen, emission[list(path), row], 1))
        evidence = sum(weights.values())
        total += np.log(evidence)
        for path, weight in weights.items():
            share = weight / evidence
            first[path[0]] += share
            for a, b in itertools.pairwise(path):
                steps[a, b] += share
            for z, v, s in zip(path, row, seen, strict=True):
                shown[z, v] += share * s
    batch = {"x": jnp.asarray(x), "mask": jnp.asarray(mask)}
    after, metrics = learned(model, batch, 1)
    np.testing.assert_allclose(metrics[0], total / 2, rtol=1e-12)
    for found, counts in (
        (after.log_initial, first[None]),
        (after.log_transition, steps),
        (after.emission.log_prob, shown),
    ):
        expected = np.log(counts / counts.sum(1, keepdims=True)).reshape(found.shape)
        np.testing.assert_allclose(found[...], expected, atol=1e-12)


@pytest.mark.parametrize("gaussian", [False, True])
def test_the_likelihood_never_falls(gaussian, x64):
    """30 steps from each of 20 starts, with a fifth of the observations missing."""
    rng = np.random.default_rng(0)
    shape = (5, 12, 2) if gaussian else (5, 12)
    x = rng.integers(0, 3, shape)
    x = 2 * x + rng.normal(size=shape) if gaussian else x
    mask = rng.random((5, 12)) < 0.8
    x = np.where(mask[..., None], x, np.nan) if gaussian else np.where(mask, x, -1)
    batch = {"x": jnp.asarray(x), "mask": jnp.asarray(mask)}
    models = [random_model(seed, gaussian=gaussian) for seed in range(20)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    rule = hmm.baum_welch()

    def step(model, _):
        model, _, metrics = rule.update(model, (), batch, jax.random.key(0))
        return model, metrics["log_prob"]

    run = jax.jit(jax.vmap(lambda model: jax.lax.scan(step, model, length=30)[1]))
    values = np.asarray(run(stacked))
    assert np.diff(values, axis=1).min() > -1e-10
    assert (values[:, -1] > values[:, 0]).all()


def test_pseudocounts_are_added_to_what_is_counted(x64):
    """Where symbols are states, a step has counts + α over their sums; the forbidden stays so."""
    forbidden = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.4, 0.3, 0.3]])
    with np.errstate(divide="ignore"):
        transition, sure = (jnp.asarray(np.log(p)) for p in (forbidden, np.eye(3)))
    x = np.array([[0, 1, 1, 2, 0, 1], [1, 2, 0, 0, 1, 2]])
    for alpha in (0.0, 0.25):
        emission = hmm.Categorical(sure, pseudocount=alpha)
        model = hmm.HiddenMarkov(jnp.log(jnp.asarray([0.2, 0.3, 0.5])), transition, emission)
        update = jax.jit(hmm.baum_welch(pseudocount=alpha).update)
        after, _, _ = update(model, (), jnp.asarray(x), jax.random.key(0))
        steps, first = np.zeros((3, 3)), np.bincount(x[:, 0], minlength=3) + alpha
        for row in x:
            np.add.at(steps, (row[:-1], row[1:]), 1)
        steps += alpha * (forbidden > 0)
        np.testing.assert_allclose(
            np.exp(after.log_transition[...]), steps / steps.sum(1, keepdims=True), rtol=1e-12
        )
        np.testing.assert_allclose(np.exp(after.log_initial[...]), first / first.sum(), rtol=1e-12)
        np.testing.assert_allclose(np.exp(after.emission.log_prob[...]), np.eye(3), atol=1e-12)


def test_with_pseudocounts_the_posterior_never_falls(x64):
    """log p(x) + α Σ log θ climbs over 30 steps from each of 20 starts, every θ stays finite."""
    rng = np.random.default_rng(1)
    x, alpha = jnp.asarray(rng.integers(0, 2, (3, 9))), 0.1
    models = [random_model(seed) for seed in range(20)]
    for model in models:
        model.emission = hmm.Categorical(model.emission.log_prob[...], pseudocount=alpha)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    rule = hmm.baum_welch(pseudocount=alpha)

    def step(model, _):
        laws = model.log_initial, model.log_transition, model.emission.log_prob
        prior = alpha * sum(jnp.sum(law[...]) for law in laws)
        model, _, metrics = rule.update(model, (), x, jax.random.key(0))
        return model, len(x) * metrics["log_prob"] + prior

    run = jax.jit(jax.vmap(lambda model: jax.lax.scan(step, model, length=30)))
    model, values = run(stacked)
    assert np.diff(np.asarray(values), axis=1).min() > -1e-10
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(model))


def test_a_model_is_found_again():
    """From 50 sequences of 400 drawn symbols: transitions and emissions within 0.03."""
    truth = hmm.HiddenMarkov(
        jnp.log(jnp.asarray([0.5, 0.5])),
        jnp.log(jnp.asarray([[0.95, 0.05], [0.1, 0.9]])),
        hmm.Categorical(jnp.log(jnp.asarray([[0.8, 0.1, 0.1], [0.1, 0.3, 0.6]]))),
    )
    x = jax.jit(lambda key: hmm.sample(truth, key, 50, length=400))(jax.random.key(0))
    start = hmm.HiddenMarkov(
        jnp.log(jnp.asarray([0.5, 0.5])),
        jnp.log(jnp.asarray([[0.7, 0.3], [0.3, 0.7]])),
        hmm.Categorical(jnp.log(jnp.asarray([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]))),
    )
    found, values = learned(start, x, 100)
    for a, b in ((found, truth), (found.emission, truth.emission)):
        name = "log_transition" if a is found else "log_prob"
        gap = np.exp(getattr(a, name)[...]) - np.exp(getattr(b, name)[...])
        assert np.abs(gap).max() < 0.03
    # No model of its size describes the data better than the best, and the truth is nearly that.
    best = hmm.log_prob(found, x).mean()
    assert values[-1] <= best + 1e-2
    assert 0 < best - hmm.log_prob(truth, x).mean() < 0.5
    path = hmm.viterbi(found, x[:2])
    assert path.states.shape == (2, 400)


def test_shapes_that_do_not_fit_are_refused():
    model = random_model()
    with pytest.raises(ValueError, match="log_transition: expected"):
        hmm.HiddenMarkov(jnp.zeros(2), jnp.zeros((2, 3)), model.emission)
    with pytest.raises(ValueError, match="mask: expected"):
        hmm.log_prob(model, jnp.zeros((1, 4), int), mask=jnp.ones((1, 3), bool))
    with pytest.raises(ValueError, match="floor"):
        hmm.Gaussian(jnp.zeros((1, 1)), jnp.ones((1, 1, 1)), floor=0.0)
    with pytest.raises(ValueError, match="pseudocount"):
        hmm.Categorical(jnp.zeros((2, 3)), pseudocount=-1.0)
    with pytest.raises(ValueError, match="pseudocount"):
        hmm.baum_welch(pseudocount=-1.0)
