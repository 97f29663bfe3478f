# SPDX-License-Identifier: Apache-2.0
"""Divergences between distributions over classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from mpmath import mp

from jaxml.probability import divergence

RNG = np.random.default_rng(0)
P, Q = RNG.dirichlet(np.ones(5), size=(2, 60))
P[:20, :2] = 0  # classes that p does not contain
P[:20] /= P[:20].sum(-1, keepdims=True)


def test_values_match_scipy(x64):
    """KL as `scipy.stats.entropy(p, q)`, H(p, q) = KL + H(p), H(p, p) = H(p)."""
    p, q = jnp.asarray(P), jnp.asarray(Q)
    kl, entropy = scipy.stats.entropy(P, Q, axis=-1), scipy.stats.entropy(P, axis=-1)
    np.testing.assert_allclose(divergence.kl_divergence(p, q), kl, rtol=1e-13)
    np.testing.assert_allclose(divergence.cross_entropy(p, q), kl + entropy, rtol=1e-13)
    np.testing.assert_allclose(divergence.cross_entropy(p, p), entropy, rtol=1e-13)
    np.testing.assert_array_equal(divergence.kl_divergence(p, p), 0)
    assert (kl > 0).all()


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_logits_give_the_same_to_60_digits(dtype, tol, x64):
    """From softmax(a) and softmax(b), for logits up to ±1e4."""
    a, b = (RNG.normal(size=(2, 80, 4)) * np.geomspace(0.1, 1e4, 80)[:, None]).astype(dtype)

    def log_softmax(row):
        row = [mp.mpf(float(v)) for v in row]
        total = mp.log(mp.fsum(mp.exp(v) for v in row))
        return [v - total for v in row]

    with mp.workdps(60):
        pairs = [(log_softmax(r), log_softmax(s)) for r, s in zip(a, b, strict=True)]
        kl = [mp.fsum(mp.exp(u) * (u - v) for u, v in zip(r, s, strict=True)) for r, s in pairs]
        cross = [-mp.fsum(mp.exp(u) * v for u, v in zip(r, s, strict=True)) for r, s in pairs]
    for ours, exact in ((divergence.kl_divergence_from_logits, kl),
                        (divergence.cross_entropy_from_logits, cross)):  # fmt: skip
        exact = np.array([float(v) for v in exact])
        value = np.asarray(jax.jit(ours)(jnp.asarray(a), jnp.asarray(b)), np.float64)
        assert np.max(np.abs(value - exact) / (1 + np.abs(exact))) <= tol


def test_slopes_are_differences_of_softmax(x64):
    """∂/∂b of both is q − p; ∂/∂q of KL is −p/q."""
    a, b = jnp.asarray(RNG.normal(size=(2, 10, 4)))
    p, q = (jnp.asarray(scipy.special.softmax(v, axis=-1)) for v in (a, b))
    for f in (divergence.kl_divergence_from_logits, divergence.cross_entropy_from_logits):
        slope = jax.jit(jax.grad(lambda b, f=f: f(a, b).sum()))(b)
        np.testing.assert_allclose(slope, q - p, atol=1e-15)
    slope = jax.jit(jax.grad(lambda q: divergence.kl_divergence(p, q).sum()))(q)
    np.testing.assert_allclose(slope, -p / q, rtol=1e-14)


def test_zero_log_zero_is_zero_and_what_q_excludes_is_infinite():
    """In values and gradients, from probabilities and from logits of −inf."""
    p, q = jnp.array([0.25, 0.75, 0.0]), jnp.array([0.5, 0.5, 0.0])
    kl = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    forms = [
        (divergence.kl_divergence, p, q, kl),
        (divergence.cross_entropy, p, q, np.log(2)),
        (divergence.kl_divergence_from_logits, jnp.log(p), jnp.log(q), kl),
        (divergence.cross_entropy_from_logits, jnp.log(p), jnp.log(q), np.log(2)),
    ]
    for f, one, other, expected in forms:
        f = jax.jit(jax.value_and_grad(f, argnums=(0, 1)))
        value, slopes = f(one, other)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        for slope in slopes:
            assert np.isfinite(slope).all()
        assert f(*(jnp.roll(v, i) for i, v in enumerate((one, other))))[0] == jnp.inf


def test_the_expectation_is_that_of_p_and_not_of_q():
    """−E_q log p, as the sentence is often printed, is another number and not least at q = p."""
    p, q = jnp.array([0.9, 0.1]), jnp.array([0.5, 0.5])
    ours = divergence.cross_entropy(p, q)
    np.testing.assert_allclose(ours, np.log(2), rtol=1e-6)
    printed = divergence.cross_entropy(q, p)
    np.testing.assert_allclose(printed, -0.5 * np.log(0.09), rtol=1e-6)
    grid = jnp.linspace(0.01, 0.99, 99)
    candidates = jnp.stack([grid, 1 - grid], axis=-1)
    fixed = jnp.broadcast_to(p, candidates.shape)
    assert grid[jnp.argmin(divergence.cross_entropy(fixed, candidates))] == pytest.approx(0.9)
    assert grid[jnp.argmin(divergence.cross_entropy(candidates, fixed))] == pytest.approx(0.99)


def test_the_divergence_is_not_symmetric_and_its_two_signs_agree(x64):
    """Σ p log(p/q) = −Σ p log(q/p), which is not KL(q‖p)."""
    p, q = P[20:], Q[20:]
    ours = divergence.kl_divergence(jnp.asarray(p), jnp.asarray(q))
    np.testing.assert_allclose(ours, -(p * np.log(q / p)).sum(-1), rtol=1e-12)
    other = divergence.kl_divergence(jnp.asarray(q), jnp.asarray(p))
    assert (np.abs(ours - other) > 1e-6).all()
