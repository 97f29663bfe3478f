# SPDX-License-Identifier: Apache-2.0
"""Embeddings: rows of a table, and waves whose products depend on differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import embedding


def test_tokens_are_rows_and_strangers_are_nan():
    """E[t]; a token below 0 or beyond the table is NaN and never another's row."""
    table = jnp.arange(12.0).reshape(4, 3)
    found = embedding.lookup(table, jnp.array([[0, 3], [2, 2]]))
    np.testing.assert_array_equal(found, np.asarray(table)[[[0, 3], [2, 2]]])
    assert np.isnan(embedding.lookup(table, jnp.array([4, -1]))).all()


def test_gradients_add_up_where_a_token_repeats():
    table = jnp.zeros((4, 3))
    slope = jax.grad(lambda e: embedding.lookup(e, jnp.array([1, 1, 3])).sum())(table)
    np.testing.assert_array_equal(slope[:, 0], [0, 2, 0, 1])


def test_waves_are_sines_in_front_of_cosines(x64):
    """sin(ωt), cos(ωt) with ωₖ = 10000^(−2k/d)."""
    t = jnp.array([0.0, 1.0, 7.5])
    omega = 10_000.0 ** (-2 * np.arange(4) / 8)
    angle = np.asarray(t)[:, None] * omega
    expected = np.concatenate([np.sin(angle), np.cos(angle)], -1)
    np.testing.assert_allclose(embedding.sinusoidal(t, 8), expected, rtol=1e-12, atol=1e-14)


def test_products_of_waves_depend_on_the_difference_alone(x64):
    """⟨e(s), e(t)⟩ = Σ cos ωₖ(s − t)."""
    e = embedding.sinusoidal(jnp.arange(40.0), 16)
    gram = np.asarray(e @ e.T)
    for shift in (0, 1, 9):
        np.testing.assert_allclose(np.diagonal(gram, shift), gram[0, shift], rtol=1e-10)


def test_half_precision_times_are_told_apart():
    """Integers 0 … 999 as int32 give 1000 different vectors, in float32."""
    e = np.asarray(embedding.sinusoidal(jnp.arange(1000), 32))
    assert e.dtype == np.float32
    assert len(np.unique(e, axis=0)) == 1000


def test_fourier_features_are_waves_of_a_projection(x64):
    t, b = (
        np.random.default_rng(0).normal(size=(5, 2)),
        np.random.default_rng(1).normal(size=(2, 3)),
    )
    expected = np.concatenate([np.sin(2 * np.pi * t @ b), np.cos(2 * np.pi * t @ b)], -1)
    found = embedding.fourier(jnp.asarray(t), jnp.asarray(b))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_odd_sizes_are_refused():
    with pytest.raises(ValueError, match="d: expected an even number"):
        embedding.sinusoidal(jnp.arange(3), 7)
