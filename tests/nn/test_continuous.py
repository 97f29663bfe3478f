# SPDX-License-Identifier: Apache-2.0
"""The continuous layer: there and back with the determinant of its Jacobian, for any event."""

import math

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.bijections import ode
from jaxml.nn import Continuous, Stack, VectorField

RNG = np.random.default_rng(0)


def layer(**options):
    """A vector field that has left 0."""
    field = VectorField(2, (6,), n_context=1, rngs=nnx.Rngs(0))
    field = jax.tree.map(lambda a: a.astype(float) + 0.5 * RNG.normal(size=a.shape), field)
    return Continuous(field, time=0.8, solver=ode.adaptive(1e-9, 1e-9), **options)


def test_there_and_back_with_the_determinant_of_the_jacobian(x64):
    """Of a batch of two axes, with a context: f⁻¹(f(x)) = x, and slogdet of differences."""
    model = layer()
    x, context = jnp.asarray(RNG.normal(size=(2, 3, 2))), jnp.asarray(RNG.normal(size=(2, 3, 1)))
    forward = jax.jit(model.forward)
    y, log_det = forward(x, context)
    back, log_back = jax.jit(model.inverse)(y, context)
    assert log_det.shape == (2, 3)
    np.testing.assert_allclose(back, x, atol=1e-7)
    np.testing.assert_allclose(log_back, -log_det, atol=1e-7)
    moves = 1e-5 * np.asarray([[1, 0], [0, 1], [0, 0], [-1, 0], [0, -1], [0, 0]])
    moved = jnp.asarray(moves.reshape(2, 3, 2) + np.asarray(x[0, 0]))
    ends = np.asarray(forward(moved, jnp.broadcast_to(context[0, 0], (2, 3, 1)))[0])
    slope = (ends[0, :2] - ends[1, :2]).T / 2e-5
    np.testing.assert_allclose(np.linalg.slogdet(slope)[1], log_det[0, 0], atol=1e-5)
    assert np.abs(log_det).max() > 0.1


def heat(t, x, context):
    """x′ = −t Σ over a pixel's channels, plus a context in every pixel."""
    return -t * x.sum(-1, keepdims=True) * jnp.ones_like(x) + context.sum()


def test_an_event_can_be_an_image_and_a_field_a_function(x64):
    """Two steps of Euler at t = 0 and 1 turn the mean of 2 channels round: log-det −2HW.

    With noise 1 in every pixel the estimate is −Σ 2·2 over them. A batch may have no axis.
    """
    model = Continuous(heat, event=3, time=2.0, solver=ode.fixed(2, method=diffrax.Euler()))
    x = jnp.asarray(RNG.normal(size=(4, 3, 5, 2)))
    y, log_det = model.forward(x[0], jnp.zeros(1))
    mean = np.asarray(x[0]).mean(-1, keepdims=True)
    np.testing.assert_allclose(y, x[0] - 2 * mean, atol=1e-12)
    np.testing.assert_allclose(log_det, -2.0 * 3 * 5, atol=1e-12)
    path = model.path(x, jnp.zeros((4, 1)), noise=jnp.ones_like(x))
    assert [part.shape for part in path] == [(4, 3, 5, 2), (4,), (4,), (4,), (4,)]
    np.testing.assert_allclose(path.end[0], y, atol=1e-12)
    np.testing.assert_allclose(path.log_det, np.full(4, -4.0 * 3 * 5), atol=1e-12)


def test_layers_built_apart_stack():
    """Solvers of their own, of equal options, do not keep layers from being one loop."""

    def make(rngs):
        return Continuous(VectorField(2, (4,), rngs=rngs), solver=ode.fixed(2))

    stack = Stack(make, 2, rngs=nnx.Rngs(0))
    y, log_det = jax.eval_shape(stack.forward, jnp.ones((3, 2)))
    assert (y.shape, log_det.shape) == ((3, 2), (3,))


def test_bad_arguments_are_refused_by_name():
    for options, message in (
        ({"time": 0.0}, "time: expected a positive number, got 0.0"),
        ({"time": math.inf}, "time: expected a positive number, got inf"),
        ({"event": 0}, "event: expected at least 1 axis, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Continuous(heat, **options)
    with pytest.raises(ValueError, match="context: expected a row an event"):
        Continuous(heat, event=1).forward(jnp.ones((4, 2)), jnp.ones((3, 1)))
