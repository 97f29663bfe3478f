# SPDX-License-Identifier: Apache-2.0
"""Restricted Boltzmann machines small enough to write every state down."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.losses.contrastive import contrastive_divergence
from jaxml.models.energy import rbm, rbm_partition


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def machine(n_visible, n_hidden, scale=1.0, seed=0):
    """A model with weights of NumPy, and the weights."""
    rng = np.random.default_rng(seed)
    W, b, c = (rng.normal(size=s) * scale for s in ((n_visible, n_hidden), n_visible, n_hidden))
    model = rbm.RBM(n_visible, n_hidden, visible=jnp.asarray(b), rngs=nnx.Rngs(0))
    model.kernel[...], model.hidden[...] = jnp.asarray(W), jnp.asarray(c)
    return model, (W, b, c)


def joint(W, b, c):
    """−E(v, h) of all states of both sides, as a matrix."""
    v, h = states(len(b)), states(len(c))
    return v @ W @ h.T + (v @ b)[:, None] + (h @ c)[None]


def test_the_free_energy_sums_the_hidden_states(x64):
    """F(v) = −log Σ_h e^{−E(v, h)} over all 32, and finite where e^{−E} overflows."""
    model, w = machine(6, 5)
    v = jnp.asarray(states(6))
    expected = -np.log(np.exp(joint(*w)).sum(1))
    np.testing.assert_allclose(rbm.free_energy(model, v), expected, rtol=1e-12)
    np.testing.assert_array_equal(rbm.free_energy(model, v.astype(bool)), rbm.free_energy(model, v))
    steep, (W, b, c) = machine(6, 5, scale=1000.0)
    limit = -(states(6) @ b) - np.logaddexp(0, c + states(6) @ W).sum(1)
    np.testing.assert_allclose(rbm.free_energy(steep, v), limit, rtol=1e-12)


def test_a_gibbs_step_balances(x64):
    """π_v P_vu = π_u P_uv to 1e-12 for P = Σ_h p(h | v) p(u | h) of the implemented log-odds."""
    model, w = machine(4, 3)
    v, h = states(4), states(3)

    def chances(logits, bits):
        p = 1 / (1 + np.exp(-np.asarray(logits)))[:, None]
        return np.prod(np.where(bits[None] == 1, p, 1 - p), axis=2)

    given = rbm.weights(model)
    P = chances(rbm.hidden_logits(given, jnp.asarray(v)), h) @ chances(
        rbm.visible_logits(given, jnp.asarray(h)), v
    )
    pi = np.exp(joint(*w)).sum(1)
    flow = (pi / pi.sum())[:, None] * P
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)


def test_simulated_steps_have_the_probabilities_of_the_matrix():
    """100,000 chains from one state, two steps each; and long chains end in p(v)."""
    model, w = machine(3, 2)
    model = jax.tree.map(lambda a: a.astype(jnp.float32), model)
    v, n = states(3).astype(np.float32), 100_000
    table = np.exp(joint(*w))
    to_h, to_v = table / table.sum(1, keepdims=True), (table / table.sum(0)).T
    P = to_h @ to_v
    pi = table.sum(1) / table.sum()

    @jax.jit
    def frequencies(key):
        near, far = jax.random.split(key)
        begin = jnp.broadcast_to(jnp.asarray(v[5])[None], (n, 3))
        ends = rbm.walk(model, begin, near, n_steps=2), rbm.sample(model, far, n, n_steps=60)
        return [jnp.bincount((e @ jnp.asarray([4.0, 2, 1])).astype(int), length=8) for e in ends]

    for counts, p in zip(frequencies(jax.random.key(0)), ((P @ P)[5], pi), strict=True):
        assert (np.abs(counts / n - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()


def test_contrastive_divergence_has_the_gradient_of_the_statistics(x64):
    """∂/∂W is −mean v p(h | v)ᵀ at data plus the same at chains, which are constants."""
    model, (W, _, c) = machine(4, 3)
    v, key = jnp.asarray(states(4)[::3]), jax.random.key(0)
    fake = np.asarray(jax.jit(partial(rbm.walk, n_steps=3))(model, v, key))
    both = jax.jit(jax.value_and_grad(partial(rbm.loss, n_steps=3), has_aux=True))
    (value, metrics), slope = both(model, v, jax.random.clone(key))

    def statistics(v):
        h = 1 / (1 + np.exp(-(c + v @ W)))
        return v.T @ h / len(v), v.mean(0), h.mean(0)

    expected = [b - a for a, b in zip(statistics(np.asarray(v)), statistics(fake), strict=True)]
    for ours, theirs in zip(rbm.weights(slope), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    cost = contrastive_divergence(
        rbm.free_energy(model, v), rbm.free_energy(model, jnp.asarray(fake))
    )
    np.testing.assert_allclose(value, cost.mean(), rtol=1e-12)
    assert metrics["reconstruction"] == np.abs(np.asarray(v) - fake).sum(1).mean()


@pytest.mark.parametrize(("n_visible", "n_hidden"), [(6, 4), (4, 6), (14, 21)])
def test_log_z_and_its_gradient_are_those_of_all_states(n_visible, n_hidden, x64):
    """∂ log p = positive − negative expectation to 1e-10; the smaller side is enumerated."""
    model, (W, b, c) = machine(n_visible, n_hidden, scale=0.6)
    if n_visible + n_hidden > 20:
        v = states(n_visible)
        log_p = v @ b + np.logaddexp(0, c + v @ W).sum(1)
        np.testing.assert_allclose(
            rbm_partition.log_partition(model), np.logaddexp.reduce(log_p), rtol=1e-12
        )
        return
    table = joint(W, b, c)
    log_z = np.logaddexp.reduce(table.ravel())
    np.testing.assert_allclose(rbm_partition.log_partition(model), log_z, rtol=1e-12)
    data = states(n_visible)[[0, 3, 3, 9]]
    expected = np.logaddexp.reduce(table, axis=1)[[0, 3, 3, 9]] - log_z
    np.testing.assert_allclose(
        rbm_partition.log_prob(model, jnp.asarray(data)), expected, rtol=1e-12
    )
    slope = jax.grad(lambda m: rbm_partition.exact_loss(m, jnp.asarray(data), jax.random.key(0))[0])
    p = np.exp(table - log_z)
    v, h = states(n_visible), states(n_hidden)
    h_data = 1 / (1 + np.exp(-(c + data @ W)))
    expected = (v.T @ p @ h - data.T @ h_data / 4, v.T @ p.sum(1) - data.mean(0),
                h.T @ p.sum(0) - h_data.mean(0))  # fmt: skip
    for ours, theirs in zip(rbm.weights(slope(model)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5)])
def test_exact_draws_have_the_law_of_the_model(sizes):
    model, w = machine(*sizes)
    model = jax.tree.map(lambda a: a.astype(jnp.float32), model)
    n, p = 50_000, np.exp(joint(*w)).sum(1)
    p = p / p.sum()
    x = np.asarray(
        jax.jit(rbm_partition.exact_sample, static_argnums=2)(model, jax.random.key(0), n)
    )
    counts = np.bincount((x @ 2 ** np.arange(sizes[0])[::-1]).astype(int), minlength=len(p))
    assert (np.abs(counts / n - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()


def test_annealing_brackets_the_exact_log_z():
    """A machine of 12 + 10 bits: both bounds within 4.5 standard errors, which are below 0.05."""
    model, w = machine(12, 10, scale=0.8)
    model = jax.tree.map(lambda a: a.astype(jnp.float32), model)
    exact = np.logaddexp.reduce(joint(*w).ravel())

    @jax.jit
    def bounds(key):
        below, exact_key, above = jax.random.split(key, 3)
        betas, base = jnp.linspace(0, 1, 150), jnp.linspace(-0.5, 0.5, 12)
        v = rbm_partition.exact_sample(model, exact_key, 300)
        return (
            rbm_partition.lower_bound(model, below, 300, betas, base=base),
            rbm_partition.upper_bound(model, v, above, betas, base=base),
            rbm_partition.log_partition(model),
        )

    lower, upper, ours = bounds(jax.random.key(0))
    np.testing.assert_allclose(ours, exact, rtol=1e-6)
    for found in (lower, upper):
        assert 0 < found.standard_error <= 0.05
        assert abs(found.value - exact) < 4.5 * found.standard_error
    spread = float(np.hypot(lower.standard_error, upper.standard_error))
    assert lower.value < upper.value + 4.5 * spread


def test_the_base_has_its_own_log_z(x64):
    """At β = 0 the tempered machine is independent bits, at β = 1 itself."""
    model, w = machine(5, 3)
    given, base = rbm.weights(model), jnp.linspace(-1.0, 1, 5)
    none = rbm_partition.tempered(given, jnp.asarray(0.0), base)
    expected = np.logaddexp.reduce(joint(*map(np.asarray, none)).ravel())
    np.testing.assert_allclose(rbm_partition.base_log_partition(given, base), expected, rtol=1e-12)
    for ours, theirs in zip(rbm_partition.tempered(given, jnp.asarray(1.0), base), w, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_bad_sizes_are_refused():
    for n_visible, n_hidden in ((0, 2), (2, 0)):
        with pytest.raises(ValueError, match="n_visible, n_hidden"):
            rbm.RBM(n_visible, n_hidden, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="visible: expected 3"):
        rbm.RBM(3, 2, visible=jnp.zeros(2), rngs=nnx.Rngs(0))
    model = rbm.RBM(21, 21, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="at most 20 units"):
        rbm_partition.log_partition(model)
    with pytest.raises(ValueError, match="n_steps"):
        rbm.sample(model, jax.random.key(0), 2, n_steps=0)
