# SPDX-License-Identifier: Apache-2.0
"""The Ising model under the contract: against sums over all spins, and learned four ways."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models import energy, ising
from jaxml.optimizers import adam
from jaxml.training import descend

ROWS, COLUMNS = 3, 3
EVERY = np.array(list(itertools.product([-1.0, 1.0], repeat=ROWS * COLUMNS)))
EVERY = EVERY.reshape(-1, ROWS, COLUMNS)


def random_model(seed, scale=0.6, dtype=None):
    rng, model = np.random.default_rng(seed), ising.IsingGrid(ROWS, COLUMNS)
    for name in ("right", "down", "field"):
        param = getattr(model, name)
        value = jnp.asarray(scale * rng.normal(size=param.shape))
        setattr(model, name, type(param)(value if dtype is None else value.astype(dtype)))
    return model


def probabilities(model):
    """Of all configurations, each weight by loops over neighbours."""
    J, D, h = (np.asarray(a, np.float64) for a in model.grid)
    w = np.einsum("nij,ij->n", EVERY, h)
    w += np.einsum("nij,ij->n", EVERY[:, :, 1:] * EVERY[:, :, :-1], J)
    w += np.einsum("nij,ij->n", EVERY[:, 1:] * EVERY[:, :-1], D)
    p = np.exp(w - w.max())
    return p / p.sum()


def test_densities_entropy_and_divergence_are_sums_over_all_spins(x64):
    model, other = random_model(0), random_model(1)
    p, q = probabilities(model), probabilities(other)
    run = jax.jit(lambda model, other: (
        ising.log_prob(model, jnp.asarray(EVERY)),
        ising.entropy(model),
        ising.kl_divergence(model, other),
        ising.loss(model, jnp.asarray(EVERY[:7]), jax.random.key(0))[0],
    ))  # fmt: skip
    log_p, entropy, kl, cost = run(model, other)
    np.testing.assert_allclose(log_p, np.log(p), rtol=1e-12)
    np.testing.assert_allclose(entropy, -(p * np.log(p)).sum(), rtol=1e-12)
    np.testing.assert_allclose(kl, (p * np.log(p / q)).sum(), rtol=1e-12)
    np.testing.assert_allclose(cost, -np.log(p[:7]).mean(), rtol=1e-12)


def test_the_pseudolikelihood_is_that_of_every_spin_given_all_others(x64):
    model = random_model(2)
    p = probabilities(model)
    place = {tuple(s.ravel()): i for i, s in enumerate(EVERY)}
    total = 0.0
    for s in EVERY[::37]:
        for i in range(ROWS * COLUMNS):
            turned = s.ravel().copy()
            turned[i] *= -1
            here = p[place[tuple(s.ravel())]]
            total -= np.log(here / (here + p[place[tuple(turned)]]))
    found, _ = ising.pseudolikelihood_loss(model, jnp.asarray(EVERY[::37]), jax.random.key(0))
    np.testing.assert_allclose(found, total / len(EVERY[::37]), rtol=1e-12)


def test_given_the_whole_law_both_likelihoods_find_it(x64):
    """Draws in the proportions of the law itself: both slopes vanish at the truth, and only it."""
    model = random_model(3)
    p = jnp.asarray(probabilities(model))

    def expected(loss, model):
        one = jax.vmap(lambda s: loss(model, s[None], jax.random.key(0))[0])
        return p @ one(jnp.asarray(EVERY))

    for loss in (ising.loss, ising.pseudolikelihood_loss):
        slopes = jax.jit(jax.grad(partial(expected, loss)))
        assert max(jnp.abs(a).max() for a in jax.tree.leaves(slopes(model))) < 1e-12
        away = slopes(random_model(4))
        assert min(jnp.abs(a).max() for a in jax.tree.leaves(away)) > 1e-2


def test_messages_are_exact_on_one_row(x64):
    """`bethe_loss` is `loss` there, in value and slope; on a rectangle it is not, but near."""
    x = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], size=(4, 1, 6)))
    row = ising.IsingGrid(1, 6)
    row.right[...] = jnp.asarray(np.random.default_rng(1).normal(size=(1, 5)))
    row.down[...] = jnp.zeros((0, 6))
    row.field[...] = jnp.asarray(np.random.default_rng(2).normal(size=(1, 6)))
    both = [
        jax.jit(jax.value_and_grad(lambda model, f=f: f(model, x, jax.random.key(0))[0]))(row)
        for f in (ising.bethe_loss, ising.loss)
    ]
    for a, b in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)
    model, x = random_model(5, scale=0.4), jnp.asarray(EVERY[:5])
    gap = ising.bethe_loss(model, x, jax.random.key(0))[0] - ising.log_prob(model, x).mean() * -1
    assert 1e-6 < abs(gap) < 0.1


def test_every_way_of_learning_comes_near_the_truth():
    """From 4000 exact draws, the divergence is near the number of parameters over twice the draws.

    That is 21 / 8000 = 0.0026 nats on average for maximum likelihood; at first it is above 0.5.
    """
    truth = random_model(6, scale=0.5, dtype=jnp.float32)
    x = jax.jit(ising.sample, static_argnums=2)(truth, jax.random.key(0), 4000)
    optimizer = adam(0.02)
    contrast = partial(energy.contrastive_loss, alpha=0.0, energy=ising.energy)
    chains = energy.rule(
        descend(contrast, optimizer),
        partial(ising.walk, n_steps=3),
        ising.fresh(ROWS, COLUMNS),
        size=4000,
        reinit=0.0,
    )
    rules = {
        "likelihood": (descend(ising.loss, optimizer), 0.008),
        "pseudolikelihood": (descend(ising.pseudolikelihood_loss, optimizer), 0.012),
        "bethe": (descend(partial(ising.bethe_loss, n_steps=15), optimizer), 0.1),
        "chains": (chains, 0.03),
    }
    start = ising.IsingGrid(ROWS, COLUMNS)
    assert ising.kl_divergence(truth, start) > 0.5
    for name, (rule, most) in rules.items():
        key = jax.random.key(1)

        def step(carry, i, rule=rule, key=key):
            model, state = carry
            model, state, _ = rule.update(model, state, x, jax.random.fold_in(key, i))
            return (model, state), None

        state = rule.init(start, jax.random.key(2))
        run = jax.jit(lambda carry, step=step: jax.lax.scan(step, carry, jnp.arange(150))[0])
        model, _ = run((start, state))
        assert 0 < ising.kl_divergence(truth, model) < most, name


def test_draws_and_chains_have_the_models_means():
    """Exact draws and ends of 100 sweeps: every spin's mean within 4.5 standard errors."""
    model = random_model(7, dtype=jnp.float32)
    mean = np.einsum("n,nij->ij", probabilities(model), EVERY)
    walk = jax.jit(partial(ising.walk, n_steps=100))
    begun = ising.fresh(ROWS, COLUMNS)(jax.random.key(0), 5000)
    drawn = jax.jit(ising.sample, static_argnums=2)(model, jax.random.key(2), 5000)
    for x in (walk(model, begun, jax.random.key(1)), drawn):
        error = np.sqrt((1 - mean**2) / 5000)
        assert (np.abs(np.asarray(x).mean(0) - mean) < 4.5 * error).all()


def test_what_does_not_fit_is_refused():
    model = ising.IsingGrid(2, 2)
    with pytest.raises(ValueError, match="other: expected size"):
        ising.kl_divergence(model, ising.IsingGrid(2, 3))
    with pytest.raises(ValueError, match="n_steps"):
        ising.walk(model, jnp.ones((1, 2, 2)), jax.random.key(0), n_steps=0)
    with pytest.raises(ValueError, match="rows"):
        ising.IsingGrid(0, 3)
