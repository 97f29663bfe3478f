# SPDX-License-Identifier: Apache-2.0
"""Coupling layers: one part stays, the other moves, and the way back is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.layers.masking import checkerboard
from jaxml.nn import MLP, Conv, Coupling, MaskedCoupling, elementwise

RNG = np.random.default_rng(0)


def network(n_in, n_out, n_context=0):
    return MLP(n_in, (8,), n_out, n_context=n_context, activation=jax.nn.tanh, rngs=nnx.Rngs(0))


def wide(model):
    return jax.tree.map(lambda a: a.astype(float), model)


def layers(f):
    """Halves of an odd number of features, both ways; images by channels and by checkerboard."""
    board = lambda shape: checkerboard(shape[:2])[..., None]  # noqa: E731
    neighbours = Conv(3, 3 * f.n_raw, (3, 3), padding=1, rngs=nnx.Rngs(0))
    return {
        "first": (Coupling(network(3, 2 * f.n_raw), f), (5,)),
        "second": (Coupling(network(2, 3 * f.n_raw), f, flip=True), (5,)),
        "channels": (Coupling(network(2, 2 * f.n_raw), f, event=3), (4, 2, 4)),
        "board": (MaskedCoupling(neighbours, f, mask=board), (4, 2, 3)),
    }


@pytest.mark.parametrize("f", [elementwise.affine(), elementwise.spline(4)])
@pytest.mark.parametrize("name", ["first", "second", "channels", "board"])
def test_there_and_back_with_the_determinant_of_the_jacobian(name, f, x64):
    layer, shape = layers(f)[name]
    layer = wide(layer)
    x = jnp.asarray(RNG.normal(size=(3, *shape)))

    @jax.jit
    def everything(layer, x):
        y, log_det = layer.forward(x)
        jacobian = jax.jacfwd(lambda x: layer.forward(x[None])[0].ravel())(x[0])
        return log_det, jacobian.reshape(x[0].size, x[0].size), *layer.inverse(y)

    log_det, jacobian, back, log_back = everything(layer, x)
    assert log_det.shape == (3,)
    np.testing.assert_allclose(back, x, atol=1e-11)
    np.testing.assert_allclose(log_back, -log_det, atol=1e-10)
    np.testing.assert_allclose(log_det[0], np.linalg.slogdet(jacobian)[1], atol=1e-10)


def test_halves_that_stay_and_move():
    """Without `flip` the first half is given; the board keeps the pixels of its mask."""
    f = elementwise.affine()
    for name, kept in (("first", [1, 1, 1, 0, 0]), ("second", [0, 0, 0, 1, 1])):
        layer, shape = layers(f)[name]
        x = jnp.asarray(RNG.normal(size=(2, *shape)), jnp.float32)
        y = jax.jit(layer.forward)(x)[0]
        np.testing.assert_array_equal(np.all(y == x, 0), np.asarray(kept, bool))
    layer, shape = layers(f)["board"]
    x = jnp.asarray(RNG.normal(size=(2, *shape)), jnp.float32)
    same = np.all(jax.jit(layer.forward)(x)[0] == x, (0, 3))
    np.testing.assert_array_equal(same, checkerboard(shape[:2]))


def test_volume_is_kept_by_additive_couplings(x64):
    layer, shape = layers(elementwise.additive())["first"]
    x = jnp.asarray(RNG.normal(size=(3, *shape)))
    np.testing.assert_array_equal(wide(layer).forward(x)[1], 0)


def test_a_context_conditions_the_network(x64):
    f = elementwise.affine()
    layer = wide(Coupling(network(3, 2 * f.n_raw, n_context=2), f))
    x, c = jnp.asarray(RNG.normal(size=(3, 5))), jnp.asarray(RNG.normal(size=(3, 2)))
    y, _ = layer.forward(x, c)
    assert np.abs(y - layer.forward(x, c + 1)[0])[:, 3:].min() > 1e-3
    np.testing.assert_allclose(layer.inverse(y, c)[0], x, atol=1e-12)


def test_networks_of_the_wrong_size_are_refused():
    layer = Coupling(network(3, 5), elementwise.affine())
    with pytest.raises(ValueError, match="network: expected 2 · 2 outputs"):
        layer.forward(jnp.zeros((1, 5)))


def test_an_affine_factor_is_bounded():
    """e^±c and no further, whatever the network says; near 0 the raw number itself."""
    f = elementwise.affine(2.0)
    raw = jnp.asarray([[0.0, 1e4], [0.0, -1e4], [0.0, 1e-3]])
    _, log_slope = f.forward(jnp.ones(3), raw)
    np.testing.assert_allclose(log_slope, [2, -2, 1e-3], rtol=1e-5)
