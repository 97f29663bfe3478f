# SPDX-License-Identifier: Apache-2.0
"""Divergences, free bits, and the importance-weighted bound with its two gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.losses import variational
from jaxml.probability import normal


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def test_divergences_equal_the_matrix_formula(x64):
    """KL = ½[tr(P⁻¹Q) − d − log det(P⁻¹Q) + (m − μ)ᵀP⁻¹(m − μ)], one value per example."""
    mean, lv, other, other_lv = (jax.random.normal(k, (7, 3), dtype=float) for k in keys(4))

    def matrix_formula(mean, lv, other, other_lv):
        inverse, q = np.linalg.inv(np.diag(np.exp(other_lv))), np.diag(np.exp(lv))
        d = other - mean
        return 0.5 * (
            np.trace(inverse @ q) - 3 - np.linalg.slogdet(inverse @ q)[1] + d @ inverse @ d
        )

    rows = [np.asarray(a) for a in (mean, lv, other, other_lv)]
    expected = [matrix_formula(*r) for r in zip(*rows, strict=True)]
    np.testing.assert_allclose(
        variational.kl_between_normals(mean, lv, other, other_lv), expected, rtol=1e-12
    )
    zeros = np.zeros((7, 3))
    expected = [matrix_formula(*r) for r in zip(*rows[:2], zeros, zeros, strict=True)]
    np.testing.assert_allclose(
        variational.kl_to_standard_normal(mean, lv), expected, rtol=1e-12, atol=1e-13
    )


def test_free_bits_take_the_batch_mean_first():
    """max(λ, mean KL_j): an example may lie below λ, and a dimension below λ feels no gradient."""
    kl = jnp.array([[0.0, 0.1], [1.0, 0.2]])
    np.testing.assert_allclose(variational.free_bits(kl, 0.4), [0.5, 0.4])
    per_example_first = jnp.mean(jnp.maximum(kl, 0.4), axis=0)
    assert not np.allclose(per_example_first, [0.5, 0.4])
    gradient = jax.grad(lambda kl: jnp.sum(variational.free_bits(kl, 0.4)))(kl)
    np.testing.assert_allclose(gradient, [[0.5, 0.0], [0.5, 0.0]])


def test_bound_is_the_logarithm_of_the_mean_weight(x64):
    """log (1/K) Σ w, shifted exactly by a constant in log w, and finite for huge weights."""
    log_w = jax.random.normal(jax.random.key(0), (6, 4), dtype=float)
    bound = variational.importance_weighted_bound(log_w)
    np.testing.assert_allclose(bound, np.log(np.exp(log_w).mean(0)), rtol=1e-12)
    far = variational.importance_weighted_bound(log_w - 1e5)
    np.testing.assert_allclose(far, bound - 1e5, rtol=1e-14)


def test_bound_of_k_samples_is_at_least_the_mean_bound_of_k_minus_1(x64):
    """For any weights: the mean over leave-one-out bounds is below the bound (Jensen)."""
    log_w = 5 * np.random.default_rng(0).normal(size=(6, 1000))
    bound_of = jax.jit(variational.importance_weighted_bound)
    bound = np.asarray(bound_of(jnp.asarray(log_w)))
    fewer = [bound_of(jnp.asarray(np.delete(log_w, k, axis=0))) for k in range(6)]
    assert (bound >= np.mean(fewer, axis=0) - 1e-12).all()


def model_log_weight(theta, z, q_mean, q_log_variance):
    """log N(x = 1; θ₀ tanh z + θ₁, 1) + log N(z; 0, 1) − log q(z), summed over two dimensions."""
    zero = jnp.zeros_like(z)
    mean = theta[0] * jnp.tanh(z) + theta[1]
    each = normal.log_prob(zero + 1, mean, zero) + normal.log_prob(zero, z, zero)
    return jnp.sum(each - normal.log_prob(z, q_mean[None], q_log_variance[None]), axis=-1)


def test_dreg_gradient_is_its_definition(x64):
    """Encoder: Σ_k w̃_k² ∂log w_k/∂z_k ∂z_k/∂φ; decoder: Σ_k w̃_k ∂log w_k/∂θ; value: the bound."""
    k1, k2, k3 = keys(3)
    phi = (jax.random.normal(k1, (3, 2), dtype=float), jax.random.normal(k2, (3, 2), dtype=float))
    theta = jnp.array([1.3, -0.4])
    eps = jax.random.normal(k3, (5, 3, 2), dtype=float)

    def surrogate(theta, phi):
        frozen = jax.lax.stop_gradient(phi)
        z = normal.reparameterize(phi[0][None], phi[1][None], eps)
        return variational.doubly_reparameterized_bound(
            lambda t, z: model_log_weight(t, z, *frozen), theta, z
        )

    @jax.jit
    def weigh(theta, phi):
        z = normal.reparameterize(phi[0][None], phi[1][None], eps)
        return z, model_log_weight(theta, z, *phi)

    z, log_w = map(np.asarray, weigh(theta, phi))
    weight = np.exp(log_w) / np.exp(log_w).sum(0, keepdims=True)
    d_theta, d_mean, d_log_variance = np.zeros(2), np.zeros((3, 2)), np.zeros((3, 2))

    @jax.jit
    @partial(jax.grad, argnums=(0, 1))
    def slopes(theta, z, mean, log_variance):
        return model_log_weight(theta, z[None, None], mean[None], log_variance[None])[0, 0]

    means, log_variances = map(np.asarray, phi)
    noise = np.asarray(eps)
    for k in range(5):
        for b in range(3):
            row = map(jnp.asarray, (z[k, b], means[b], log_variances[b]))
            g_theta, g_z = map(np.asarray, slopes(theta, *row))
            w = weight[k, b]
            d_theta += w * g_theta
            d_mean[b] += w**2 * g_z
            d_log_variance[b] += w**2 * g_z * 0.5 * np.exp(log_variances[b] / 2) * noise[k, b]

    run = jax.jit(jax.value_and_grad(surrogate, argnums=(0, 1)))
    value, (g_theta, g_phi) = run(theta, phi)
    np.testing.assert_allclose(value, np.sum(np.log(np.exp(log_w).mean(0))), rtol=1e-12)
    np.testing.assert_allclose(g_theta, d_theta, rtol=1e-10)
    np.testing.assert_allclose(g_phi[0], d_mean, rtol=1e-10)
    np.testing.assert_allclose(g_phi[1], d_log_variance, rtol=1e-10)


def test_dreg_encoder_gradient_vanishes_at_the_exact_posterior(x64):
    """For q(z) = p(z|x) every weight is p(x): no noise is left, unlike in the plain gradient."""
    # x = 1 under N(z, 1) with prior N(0, 1): the posterior is N(½, ½).
    phi = (jnp.full((1, 1), 0.5), jnp.full((1, 1), jnp.log(0.5)))
    eps = jax.random.normal(jax.random.key(0), (4, 1, 1), dtype=float)

    def log_weight(z, q):
        zero = jnp.zeros_like(z)
        joint = normal.log_prob(zero + 1, z, zero) + normal.log_prob(z, zero, zero)
        return jnp.sum(joint - normal.log_prob(z, q[0][None], q[1][None]), axis=-1)

    def dreg(phi):
        frozen = jax.lax.stop_gradient(phi)
        z = normal.reparameterize(phi[0][None], phi[1][None], eps)
        return variational.doubly_reparameterized_bound(
            lambda _, z: log_weight(z, frozen), jnp.zeros(0), z
        )

    def plain(phi):
        z = normal.reparameterize(phi[0][None], phi[1][None], eps)
        return jnp.sum(variational.importance_weighted_bound(log_weight(z, phi)))

    np.testing.assert_allclose(jnp.stack(jax.jit(jax.grad(dreg))(phi)), 0, atol=1e-13)
    assert np.abs(jnp.stack(jax.jit(jax.grad(plain))(phi))).max() > 0.01
