# SPDX-License-Identifier: Apache-2.0
"""Modules of normalization against NumPy in float64, and their running statistics in training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml import nn
from jaxml.training import descend

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, (6, 4, 5, 8))
SCALE, BIAS = RNG.normal(1.0, 0.3, 8), RNG.normal(0.0, 0.3, 8)


def given(module):
    """The module with a scale and a bias that show."""
    module.scale[...] = jnp.float32(SCALE)
    if hasattr(module, "bias"):
        module.bias[...] = jnp.float32(BIAS)
    return module


def normalized(x, axes, eps):
    """(x − μ)/√(σ² + ε)."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def by_group(x, groups, eps):
    """Positions and the channels of a group share their moments."""
    return normalized(x.reshape(*x.shape[:-1], groups, -1), (1, 2, 4), eps).reshape(x.shape)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.GroupNorm(8, 4, eps=0.1), by_group(X, 4, 0.1) * SCALE + BIAS),
        (nn.GroupNorm(8, 8, eps=0.1), normalized(X, (1, 2), 0.1) * SCALE + BIAS),
        (nn.LayerNorm(8, eps=0.1), normalized(X, (3,), 0.1) * SCALE + BIAS),
        (nn.RMSNorm(8, eps=0.1), X / np.sqrt((X**2).mean(-1, keepdims=True) + 0.1) * SCALE),
    ],
    ids=["group", "instance", "layer", "root mean square"],
)
def test_each_module_is_its_formula(module, expected):
    """γ and β are the module's own, ε what was asked for."""
    found = jax.jit(lambda m, x: m(x))(given(module), jnp.float32(X))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("ddof", [0, 1])
def test_batch_norm_trains_with_the_batch_and_evaluates_with_what_it_remembers(ddof):
    """Moments of the batch in training; m ← 0.8 m + 0.2 m_batch; those m in evaluation."""
    module = given(nn.BatchNorm(8, decay=0.8, ddof=ddof, eps=0.1))
    y = module(jnp.float32(X), training=True)
    np.testing.assert_allclose(y, normalized(X, (0, 1, 2), 0.1) * SCALE + BIAS, atol=2e-5)
    mean = 0.2 * X.mean((0, 1, 2))
    variance = 0.8 + 0.2 * X.var((0, 1, 2), ddof=ddof)
    np.testing.assert_allclose(module.mean[...], mean, rtol=1e-5)
    np.testing.assert_allclose(module.variance[...], variance, rtol=1e-5)
    y = module(jnp.float32(X), training=False)
    expected = (X - mean) / np.sqrt(variance + 0.1) * SCALE + BIAS
    np.testing.assert_allclose(y, expected, atol=3e-5)
    np.testing.assert_allclose(module.mean[...], mean, rtol=1e-5)


def test_running_statistics_arrive_from_inside_a_loss():
    """After k steps under scan with decay 0.5 the running mean is (1 − 2⁻ᵏ) of the data's."""
    x = jnp.float32(X)

    def loss(model, batch, key):
        return jnp.mean(jnp.square(model(batch, training=True) - 1)), {}

    rule = descend(loss, optax.sgd(0.1))
    model = nn.BatchNorm(8, decay=0.5)
    state = rule.init(model, jax.random.key(0))

    @jax.jit
    def train(model, state):
        def step(carry, i):
            return rule.update(*carry, x, jax.random.fold_in(jax.random.key(1), i))[:2], None

        return jax.lax.scan(step, (model, state), jnp.arange(3))[0]

    trained, _ = train(model, state)
    np.testing.assert_allclose(trained.mean[...], 0.875 * X.mean((0, 1, 2)), rtol=1e-5)
    assert np.abs(trained.bias[...]).max() > 0.01


def test_sizes_are_checked():
    """Each argument that does not fit is named."""
    for build in (nn.BatchNorm, nn.LayerNorm, nn.RMSNorm):
        with pytest.raises(ValueError, match="n: expected a positive number of channels, got 0"):
            build(0)
    with pytest.raises(ValueError, match="groups: expected a divisor of n = 8, got 3"):
        nn.GroupNorm(8, 3)
    with pytest.raises(ValueError, match="decay: expected a number in"):
        nn.BatchNorm(8, decay=1.0)


def test_half_precision_in_is_half_precision_out():
    """Parameters stay float32, moments are taken in float32."""
    x = jnp.asarray(X, jnp.bfloat16)
    for module in (nn.GroupNorm(8, 2), nn.LayerNorm(8), nn.RMSNorm(8)):
        assert jax.jit(module.__call__)(x).dtype == jnp.bfloat16
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(nnx.state(module)))
