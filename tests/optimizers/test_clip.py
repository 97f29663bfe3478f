# SPDX-License-Identifier: Apache-2.0
"""Clipping against NumPy and Optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxml import optimizers

RNG = np.random.default_rng(0)
TREE = {
    "kernel": jnp.asarray(RNG.normal(size=(3, 3, 4, 5)), jnp.float32),
    "matrix": jnp.asarray(RNG.normal(size=(4, 5)), jnp.float32),
    "bias": jnp.asarray(RNG.normal(size=5), jnp.float32),
}
PARAMS = jax.tree.map(lambda x: jnp.flip(x) * jnp.float32(3), TREE)


def clipped(rule, tree, params=None):
    return jax.jit(rule.update)(tree, rule.init(tree), params)[0]


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_the_norm_of_all_leaves_together_is_bounded(limit):
    """g·min(1, c/‖g‖): the direction stays, and so does what is short enough."""
    length = np.sqrt(sum(np.sum(np.square(x)) for x in jax.tree.leaves(TREE)))
    found = clipped(optimizers.clip_by_norm(limit), TREE)
    expected = jax.tree.map(lambda x: x * np.float32(min(1, limit / length)), TREE)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    np.testing.assert_allclose(optimizers.global_norm(TREE), length, rtol=1e-6)


def test_values_are_bounded_one_by_one():
    found = clipped(optimizers.clip_by_value(0.3), TREE)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.clip(b, -0.3, 0.3)), found, TREE)


@pytest.mark.parametrize("ratio", [0.01, 0.3, 10.0])
def test_units_are_bounded_by_the_norm_of_their_weights(ratio):
    """Kernels by output channel, matrices by column, vectors whole: as Optax does."""
    found = clipped(optimizers.clip_adaptively(ratio), TREE, PARAMS)
    rule = optax.adaptive_grad_clip(ratio)
    expected, _ = jax.jit(rule.update)(TREE, rule.init(PARAMS), PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_units_that_start_at_zero_can_leave_it():
    """max(‖θ‖, ε) with ε = 1e-3 lets a gradient of length λε through."""
    zero = jax.tree.map(jnp.zeros_like, TREE)
    found = clipped(optimizers.clip_adaptively(0.5), TREE, zero)
    np.testing.assert_allclose(np.linalg.norm(found["bias"]), 5e-4, rtol=1e-5)
    with pytest.raises(ValueError, match="needs the parameters"):
        clipped(optimizers.clip_adaptively(0.5), TREE)


def test_norms_of_half_precision_are_added_in_single_precision():
    """1024 ones have the norm 32; a bfloat16 sum stops at 256."""
    ones = {"a": jnp.ones(1000, jnp.bfloat16), "b": jnp.ones(24, jnp.float32)}
    assert optimizers.global_norm(ones) == 32.0
    found = clipped(optimizers.clip_by_norm(16.0), ones)
    assert found["a"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(found["b"], np.full(24, 0.5))


def test_zero_and_nan_pass():
    """A zero gradient stays 0; NaN is not hidden."""
    zero = jax.tree.map(jnp.zeros_like, TREE)
    for rule in (optimizers.clip_by_norm(1.0), optimizers.clip_adaptively(0.1)):
        jax.tree.map(np.testing.assert_array_equal, clipped(rule, zero, PARAMS), zero)
        bad = clipped(rule, zero | {"bias": zero["bias"].at[0].set(jnp.nan)}, PARAMS)
        assert np.isnan(bad["bias"][0])
