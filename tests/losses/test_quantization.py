# SPDX-License-Identifier: Apache-2.0
"""Vector quantization against brute force and cluster means."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.losses import quantization


def vectors(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def test_nearest_code_is_that_of_brute_force():
    """The index of the smallest distance over all codes, for batches of any rank."""
    z, codes = vectors(4, 5, 3), vectors(16, 3, seed=1)
    nearest_code = jax.jit(quantization.nearest_code)
    distance = np.linalg.norm(np.asarray(z)[..., None, :] - np.asarray(codes), axis=-1)
    expected = distance.argmin(-1)
    assert np.unique(expected).size > 5
    np.testing.assert_array_equal(nearest_code(z, codes), expected)
    np.testing.assert_array_equal(nearest_code(z[0], codes), expected[0])


def test_straight_through_has_the_codes_value_and_an_identity_gradient():
    """Value q bit for bit; ∂/∂z = I; ∂/∂q = 0."""
    z, q, slope = vectors(6, 3) * 100, vectors(6, 3, seed=1), vectors(6, 3, seed=2)

    def weighted(z, q):
        return jnp.sum(slope * quantization.straight_through(z, q))

    np.testing.assert_array_equal(quantization.straight_through(z, q), q)
    by_z, by_q = jax.grad(weighted, argnums=(0, 1))(z, q)
    np.testing.assert_array_equal(by_z, slope)
    np.testing.assert_array_equal(by_q, 0.0)


def test_commitment_pulls_its_first_argument_only():
    """‖z − sg(e)‖² summed over features, gradient 2(z − e) in z and 0 in e."""
    z, e = vectors(6, 3), vectors(6, 3, seed=1)
    expected = (np.asarray(z - e) ** 2).sum(-1)
    np.testing.assert_allclose(quantization.commitment(z, e), expected, rtol=1e-6)
    by_z, by_e = jax.grad(lambda *a: quantization.commitment(*a).sum(), argnums=(0, 1))(z, e)
    np.testing.assert_allclose(by_z, 2 * (z - e), rtol=1e-6)
    np.testing.assert_array_equal(by_e, 0.0)


def test_perplexity_counts_the_codes_in_use():
    """K codes used equally: K; one code: 1; frequencies ½, ¼, ¼: e^(1.5 ln 2)."""
    perplexity = jax.jit(quantization.perplexity, static_argnums=1)
    np.testing.assert_allclose(perplexity(jnp.arange(8), 8), 8, rtol=1e-6)
    np.testing.assert_allclose(perplexity(jnp.zeros(8, int), 8), 1, rtol=1e-6)
    np.testing.assert_allclose(perplexity(jnp.array([[0, 0], [1, 2]]), 8), 2**1.5, rtol=1e-6)


def test_codes_come_to_rest_at_the_means_of_their_clusters(x64):
    """From the first step on with constant assignments, and in the limit after a change."""
    z = jax.random.normal(jax.random.key(0), (50, 2), dtype=float)
    codes = jnp.array([[-1.0, 0.0], [1.0, 0.0], [9.0, 9.0]])
    indices = jax.jit(quantization.nearest_code)(z, codes)
    means = np.stack([np.asarray(z)[np.asarray(indices) == k].mean(0) for k in range(2)])
    clusters = quantization.Clusters(jnp.zeros(3), jnp.zeros((3, 2)))
    step = jax.jit(partial(quantization.follow, decay=0.9))
    clusters, first = step(clusters, codes, z, indices)
    np.testing.assert_allclose(np.asarray(first)[:2], means, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(first)[2], np.asarray(codes)[2])  # none reached it

    shifted = z + 1
    for _ in range(400):
        clusters, moved = step(clusters, first, shifted, indices)
    np.testing.assert_allclose(np.asarray(moved)[:2], means + 1, rtol=1e-12)
    np.testing.assert_allclose(clusters.counts, np.bincount(indices, minlength=3), rtol=1e-12)


def test_a_step_of_the_moving_mean_is_the_recurrence(x64):
    """N ← γN + (1 − γ)n and m ← γm + (1 − γ)Σz, e = m/N."""
    clusters = quantization.Clusters(jnp.array([2.0, 4.0]), jnp.array([[2.0], [8.0]]))
    z, indices = jnp.array([[3.0], [5.0], [7.0]]), jnp.array([0, 0, 1])
    after, codes = quantization.follow(clusters, jnp.zeros((2, 1)), z, indices, decay=0.75)
    np.testing.assert_allclose(after.counts, [2.0, 3.25], rtol=1e-15)
    np.testing.assert_allclose(after.sums, [[3.5], [7.75]], rtol=1e-15)
    np.testing.assert_allclose(codes, [[1.75], [7.75 / 3.25]], rtol=1e-15)
