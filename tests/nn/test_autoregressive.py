# SPDX-License-Identifier: Apache-2.0
"""Masked autoregressive layers: triangular forward, exact backward, whatever the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import MADE, Autoregressive, elementwise

RNG = np.random.default_rng(0)


def disturbed(model, size=0.3):
    """Away from the identity that it begins with."""
    leaves, treedef = jax.tree.flatten(model)
    moved = [a + size * jnp.asarray(RNG.normal(size=a.shape), a.dtype) for a in leaves]
    return jax.tree.unflatten(treedef, moved)


def wide(model):
    return jax.tree.map(lambda a: a.astype(float), model)


NETWORKS = {
    "plain": {"n": 5, "widths": (16, 12)},
    "order": {"n": 5, "widths": (13, 7), "order": (3, 1, 5, 2, 4)},
    "residual": {"n": 4, "widths": (10, 10, 10), "residual": True},
    "context": {"n": 3, "widths": (8,), "n_context": 2},
    "both": {"n": 4, "widths": (9, 9), "n_context": 2, "residual": True, "order": (4, 3, 2, 1)},
    "narrow": {"n": 6, "widths": (3,)},
    "one": {"n": 1, "widths": (4,), "n_context": 2},
}


def build(name, f=None):
    f = f or elementwise.affine()
    options = NETWORKS[name]
    net = MADE(**options, n_raw=f.n_raw, activation=jax.nn.tanh, rngs=nnx.Rngs(0))
    context = jnp.asarray(RNG.normal(size=(7, 2))) if options.get("n_context") else None
    x = jnp.asarray(RNG.normal(size=(7, options["n"])))
    return wide(disturbed(Autoregressive(net, f))), x, context


@pytest.mark.parametrize("name", NETWORKS)
def test_an_output_sees_what_comes_before_it_and_all_of_that(name, x64):
    """∂raw_i/∂x_j ≠ 0 exactly where j is before i, if units are enough; the context is seen."""
    layer, x, context = build(name)
    net = layer.network

    def raw(x, c):
        return net(x[None], None if c is None else c[None])[0].sum(-1)

    c = None if context is None else context[0]
    slope = np.asarray(jax.jit(jax.jacfwd(raw))(x[0], c))
    order = np.asarray(net.order)
    before = order[None] < order[:, None]
    assert not slope[~before].any()
    if name != "narrow":
        assert (np.abs(slope[before]) > 0).all()
    if c is not None:
        assert (np.abs(np.asarray(jax.jit(jax.jacfwd(raw, 1))(x[0], c))) > 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_way_back_is_the_inverse(name, x64):
    """Though every hidden unit is worked out once: x to 1e-11, and both log-determinants."""
    layer, x, context = build(name)

    @jax.jit
    def both(layer, x, context):
        y, log_det = layer.forward(x, context)
        return y, log_det, *layer.inverse(y, context)

    y, log_det, back, log_back = both(layer, x, context)
    np.testing.assert_allclose(back, x, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(log_back, -log_det, rtol=1e-11, atol=1e-11)
    assert np.abs(y - x).max() > 0.1


def test_log_determinant_is_that_of_the_jacobian(x64):
    """Of splines and of affine maps, forward and backward."""
    for f in (elementwise.affine(), elementwise.spline(4)):
        layer, x, _ = build("order", f)
        for way in (layer.forward, layer.inverse):
            jacobian = jax.jit(jax.jacfwd(lambda x, way=way: way(x[None])[0][0]))(x[0])
            expected = np.linalg.slogdet(jacobian)[1]
            np.testing.assert_allclose(jax.jit(way)(x)[1][0], expected, rtol=1e-9, atol=1e-10)


def test_batches_of_any_rank(x64):
    layer, _, _ = build("order")
    x = jnp.asarray(RNG.normal(size=(2, 3, 5)))
    y, log_det = layer.forward(x)
    assert log_det.shape == (2, 3)
    back, log_back = layer.inverse(y)
    np.testing.assert_allclose(back, x, atol=1e-11)
    np.testing.assert_allclose(log_back, -log_det, atol=1e-11)


def test_it_begins_as_the_identity():
    """The last layer is 0, and raw numbers of 0 are the identity."""
    for f in (elementwise.affine(), elementwise.spline(), elementwise.additive()):
        layer = Autoregressive(MADE(4, (8,), f.n_raw, rngs=nnx.Rngs(0)), f)
        x = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
        y, log_det = jax.jit(layer.forward)(x)
        np.testing.assert_allclose(y, x, atol=1e-6)
        np.testing.assert_allclose(log_det, 0, atol=1e-5)


@pytest.mark.parametrize("name", ["plain", "context"])
def test_a_context_is_neither_ignored_nor_missing(name):
    layer, x, context = build(name)
    x = x.astype(jnp.float32)
    wrong = jnp.zeros((7, 2)) if context is None else None
    for way in (layer.forward, layer.inverse):
        with pytest.raises(ValueError, match="context: expected"):
            way(x, wrong)


def test_options_made_inside_a_trace_serve_outside():
    """A cached constructor keeps nothing of the trace that called it first."""
    f = jax.jit(lambda x: elementwise.sigmoids(5).forward(x, jnp.zeros((3, 15)))[0])
    x = jnp.asarray([-1.0, 0.0, 2.0])
    inside = f(x)
    np.testing.assert_allclose(elementwise.sigmoids(5).forward(x, jnp.zeros((3, 15)))[0], inside)


def test_networks_that_do_not_fit_are_refused():
    f = elementwise.affine()
    for make, name in [
        (lambda: Autoregressive(MADE(3, (4,), 3, rngs=nnx.Rngs(0)), f), "network"),
        (lambda: MADE(3, (), 2, rngs=nnx.Rngs(0)), "widths"),
        (lambda: MADE(3, (4, 5), 2, residual=True, rngs=nnx.Rngs(0)), "widths"),
        (lambda: MADE(3, (4,), 2, order=(1, 2, 2), rngs=nnx.Rngs(0)), "order"),
    ]:
        with pytest.raises(ValueError, match=name):
            make()
