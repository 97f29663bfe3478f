# SPDX-License-Identifier: Apache-2.0
"""Activations against SciPy, in their tails too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.test_util import check_grads

from jaxml.layers import activation

POINTS = np.concatenate([np.linspace(-12, 12, 97), [-1e4, -40.0, 40.0, 1e4]])
PRINTED = {
    "sigmoid": (activation.sigmoid, scipy.special.expit),
    "tanh": (activation.tanh, np.tanh),
    "relu": (activation.relu, lambda x: np.maximum(x, 0)),
    "leaky relu": (activation.leaky_relu, lambda x: np.maximum(0.01 * x, x)),
    "swish": (
        lambda x: activation.swish(x, beta=2.0),
        lambda x: x * scipy.special.expit(2 * x),
    ),
    "silu": (activation.silu, lambda x: x * scipy.special.expit(x)),
    "gelu": (activation.gelu, lambda x: x * scipy.stats.norm.cdf(x)),
    "gelu by tanh": (
        activation.gelu_by_tanh,
        lambda x: x * scipy.special.expit(np.sqrt(8 / np.pi) * (x + 0.044715 * x**3)),
    ),
}


@pytest.mark.parametrize("name", PRINTED)
def test_activations_are_their_formulas(name, x64):
    """1e-12 of the value in double precision, and slopes that are finite everywhere."""
    function, printed = PRINTED[name]
    x = jnp.asarray(POINTS)
    np.testing.assert_allclose(function(x), printed(POINTS), rtol=1e-12, atol=1e-300)
    slopes = jax.vmap(jax.grad(function))(x)
    assert np.isfinite(slopes).all()
    inner = x[(jnp.abs(x) > 0.1) & (jnp.abs(x) < 8)]
    check_grads(lambda x: function(jnp.asarray(x)), (inner,), order=2, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", PRINTED)
def test_half_precision_stays_half_and_nan_stays_nan(name):
    """Activations stand between layers and change no dtype."""
    function, _ = PRINTED[name]
    y = function(jnp.array([1.0, -2.0, jnp.nan], jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert np.isnan(np.float32(y[2]))


def test_gelu_by_tanh_is_as_printed_and_near_gelu(x64):
    """½x(1 + tanh(√(2/π)(x + 0.044715x³))), within 5e-4 of xΦ(x)."""
    x = jnp.linspace(-6, 6, 241)
    printed = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(activation.gelu_by_tanh(x), printed, atol=1e-14)
    assert 1e-4 < np.abs(activation.gelu_by_tanh(x) - activation.gelu(x)).max() < 5e-4


def test_the_printed_leaky_relu_fails_above_one():
    """max(αx, x) with α = 2 grows by 2 on the right, where the slope is to be 1."""
    x = jnp.array([3.0, -3.0])
    np.testing.assert_array_equal(activation.leaky_relu(x, slope=2.0), [3.0, -6.0])
    np.testing.assert_array_equal(jnp.maximum(2.0 * x, x), [6.0, -3.0])


def test_swish_lies_between_half_a_line_and_relu():
    """β = 0 gives x/2, a large β ReLU."""
    x = jnp.linspace(-3, 3, 13)
    np.testing.assert_allclose(activation.swish(x, beta=0.0), x / 2, rtol=1e-6)
    np.testing.assert_allclose(activation.swish(x, beta=200.0), jnp.maximum(x, 0), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_softmax_competes_along_its_axis(temperature, x64):
    """SciPy's softmax of x/T; shifts change nothing; cold picks the largest, hot makes alike."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 5)))
    found = activation.softmax(x, axis=1, temperature=temperature)
    np.testing.assert_allclose(found, scipy.special.softmax(x / temperature, axis=1), rtol=1e-12)
    moved = activation.softmax(x + 1e4, axis=1, temperature=temperature)
    np.testing.assert_allclose(found, moved, rtol=1e-10)
    cold = activation.softmax(x, axis=1, temperature=1e-4)
    np.testing.assert_allclose(cold, jax.nn.one_hot(x.argmax(1), 4, axis=1), atol=1e-12)
    np.testing.assert_allclose(activation.softmax(x, axis=1, temperature=1e8), 0.25, rtol=1e-6)


def test_softmax_excludes_infinities_and_sums_in_single_precision():
    """−inf has probability 0; 1000 equal bfloat16 logits sum to 1; T ≤ 0 is refused."""
    p = activation.softmax(jnp.array([0.0, -jnp.inf, 0.0]))
    np.testing.assert_array_equal(p, [0.5, 0.0, 0.5])
    p = activation.softmax(jnp.zeros(1000, jnp.bfloat16))
    assert p.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(p).sum(), 1.0, rtol=4e-3)
    with pytest.raises(ValueError, match="temperature: expected a positive number"):
        activation.softmax(jnp.zeros(2), temperature=0.0)
