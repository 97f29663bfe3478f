# SPDX-License-Identifier: Apache-2.0
"""The contraction is one whatever its weights are; the layer is its residual."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import InvertibleResidual, LipschitzMLP

RNG = np.random.default_rng(0)


def disturbed(module, size=3.0):
    return jax.tree.map(
        lambda a: jnp.asarray(np.asarray(a) + size * RNG.normal(size=a.shape)), module
    )


def build(size=3.0, n_context=2):
    return disturbed(
        LipschitzMLP(3, (6, 5), n_context=n_context, lipschitz=0.8, rngs=nnx.Rngs(0)), size
    )


def test_no_weights_break_the_constant(x64):
    """The largest singular value of the Jacobian at a thousand places; every kernel within c."""
    network = build()
    x, context = (
        jnp.asarray(3 * RNG.normal(size=(1000, 3))),
        jnp.asarray(RNG.normal(size=(1000, 2))),
    )
    jacobian = jax.jit(jax.vmap(jax.jacfwd(network)))(x, context)
    assert np.linalg.norm(np.asarray(jacobian), 2, axis=(1, 2)).max() <= 0.8
    norms = np.array([np.linalg.norm(np.asarray(k), 2) for k in network.weights().kernels])
    assert norms.max() <= 0.8 ** (1 / 3) + 1e-12
    assert norms.prod() > 0.8 / 1.35  # and no tighter than the bound of a singular value is


def test_small_weights_count_as_they_are(x64):
    """A kernel within the constant is not stretched: against NumPy."""
    network = build(0.1)
    network = jax.tree.map(lambda a: 0.1 * a, network)
    x, context = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))
    h = x
    for i, (kernel, bias) in enumerate(zip(network.kernels, network.biases, strict=True)):
        h = h @ np.asarray(kernel[...]) + np.asarray(bias[...])
        h = h + context @ np.asarray(network.context[...]) if i == 0 else h
        h = h / (1 + np.exp(-h)) / 1.1 if i < 2 else h
    np.testing.assert_allclose(network(jnp.asarray(x), jnp.asarray(context)), h, rtol=1e-12)


@pytest.mark.parametrize("n_context", [0, 2])
def test_there_and_back_with_the_determinant_of_the_jacobian(n_context, x64):
    layer = InvertibleResidual(build(n_context=n_context))
    x = jnp.asarray(RNG.normal(size=(2, 4, 3)))
    context = jnp.asarray(RNG.normal(size=(2, 4, n_context))) if n_context else None

    @jax.jit
    def both(layer, x, context):
        y, log_det = layer.forward(x, context)
        return y, log_det, *layer.inverse(y, context)

    y, log_det, back, log_back = both(layer, x, context)
    np.testing.assert_allclose(back, x, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(log_back, -log_det, rtol=1e-10, atol=1e-12)
    own = None if context is None else context[1, 2]
    jacobian = jax.jacfwd(lambda x: layer.forward(x, own)[0])(x[1, 2])
    np.testing.assert_allclose(log_det[1, 2], np.linalg.slogdet(jacobian)[1], rtol=1e-10)
    np.testing.assert_allclose(y[1, 2], x[1, 2] + layer.network(x[1, 2], own), rtol=1e-12)


def test_a_layer_begins_as_the_identity():
    layer = InvertibleResidual(LipschitzMLP(3, (6,), rngs=nnx.Rngs(0)))
    y, log_det = layer.forward(jnp.ones((2, 3)))
    np.testing.assert_array_equal(y, 1)
    np.testing.assert_array_equal(log_det, 0)
    slope = jax.grad(lambda layer: layer.forward(jnp.ones((2, 3)))[1].sum())(layer)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="positive sizes"):
        LipschitzMLP(3, (0,), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="lipschitz"):
        LipschitzMLP(3, (4,), lipschitz=1.0, rngs=nnx.Rngs(0))
    layer = InvertibleResidual(LipschitzMLP(3, (4,), n_context=1, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="context: expected 1"):
        layer.forward(jnp.ones((2, 3)))
