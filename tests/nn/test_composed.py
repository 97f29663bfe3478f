# SPDX-License-Identifier: Apache-2.0
"""Flow layers of flow layers against the same written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import bijections as b
from jaxml.nn import MLP, Chain, Constant, Coupling, Inverted, Learned, Stack, elementwise

RNG = np.random.default_rng(0)


def make(rngs):
    f = elementwise.affine()
    net = lambda: MLP(2, (6,), 2 * f.n_raw, rngs=rngs)  # noqa: E731
    return Chain([Coupling(net(), f), Coupling(net(), f, flip=True)])


@pytest.mark.parametrize("unroll", [1, 2])
def test_a_stack_is_the_chain_of_its_layers(unroll, x64):
    """Forward, backward and gradients, layer by layer."""
    x = jnp.asarray(RNG.normal(size=(3, 4)))
    stack = Stack(make, 3, unroll=unroll, rngs=nnx.Rngs(0))
    stack = jax.tree.map(lambda a: a.astype(float), stack)
    chain = Chain([jax.tree.map(lambda a, i=i: a[i], stack.layers) for i in range(3)])

    def value(model):
        y, log_det = model.forward(x)
        return jnp.sum(jnp.sin(y)) + log_det.sum()

    for way in ("forward", "inverse"):
        run = jax.jit(lambda model, x, way=way: getattr(model, way)(x))
        for one, other in zip(run(stack, x), run(chain, x), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
    slope = jax.jit(jax.grad(value))
    mine, parts = slope(stack).layers, slope(chain).layers
    other = jax.tree.map(lambda *a: jnp.stack(a), *parts)
    for one, two in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-10)


def test_layers_of_a_stack_begin_apart():
    kernels = Stack(make, 2, rngs=nnx.Rngs(0)).layers.layers[0].network.layers[0].kernel[...]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1


def test_inverted_twice_is_the_layer():
    layer, x = make(nnx.Rngs(0)), jnp.ones((2, 4))
    np.testing.assert_array_equal(Inverted(Inverted(layer)).forward(x)[0], layer.forward(x)[0])
    np.testing.assert_array_equal(Inverted(layer).forward(x)[0], layer.inverse(x)[0])


def test_what_is_learned_and_what_is_not():
    """Signs and orders are constants; the rest are parameters."""
    lu = b.Bijection(b.lu_linear, b.lu_linear_inverse, 1)
    layer = Learned(lu, b.lu_rotation(jax.random.key(0), 3), constant=("sign",))
    _, params, constants = nnx.split(layer, nnx.Param, Constant)
    assert len(jax.tree.leaves(params)) == 3
    assert len(jax.tree.leaves(constants)) == 2
    x = jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32)
    y, _ = layer.forward(x)
    np.testing.assert_allclose(layer.inverse(y)[0], x, atol=1e-5)
    fixed = Learned(b.Bijection(b.linear, b.linear_inverse, 1), jnp.eye(3), constant=True)
    _, params, constants = nnx.split(fixed, nnx.Param, Constant)
    assert (len(jax.tree.leaves(params)), len(jax.tree.leaves(constants))) == (0, 1)
    with pytest.raises(ValueError, match="n: expected"):
        Stack(make, 0, rngs=nnx.Rngs(0))
