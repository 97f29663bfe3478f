# SPDX-License-Identifier: Apache-2.0
"""Derivatives of attention, against differences and against autodiff of the printed softmax."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxml.layers import attention

# The second query sees nothing.
MASK = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]], bool)[None, None]


def operands():
    """Queries of two heads share a key and a value; the last is the bias."""
    rng = np.random.default_rng(0)
    shapes = (1, 3, 2, 2), (1, 4, 1, 2), (1, 4, 1, 1), (1, 2, 3, 4)
    return tuple(jnp.asarray(rng.normal(size=shape)) for shape in shapes)


def ours(q, k, v, bias):
    return attention(q, k, v, mask=jnp.asarray(MASK), bias=bias)


def formula(q, k, v, bias):
    logits = jnp.einsum("nthd,nsgd->nhts", q, k) / jnp.sqrt(2.0) + bias
    weight = jax.nn.softmax(jnp.where(MASK, logits, -1e9), -1)
    return jnp.einsum("nhts,nsge->nthe", jnp.where(MASK, weight, 0), v)


# Two orders of differences are thirteen compilations; the test below has both orders too.
@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_derivatives(x64, order):
    """Both modes and two orders in queries, keys, values and bias, some queries seeing nothing."""
    check_grads(jax.jit(ours), operands(), order=order, rtol=1e-6, atol=1e-6)


def test_derivatives_are_those_of_the_formula(x64):
    """Two orders of autodiff of the printed softmax, forward and reverse, to 1e-11."""
    primal = operands()
    tangent = tuple(jnp.asarray(np.cos(3 * np.asarray(a))) for a in primal)

    def derivatives(f):
        gradient = jax.grad(lambda *a: jnp.sum(jnp.sin(f(*a))), range(4))

        def penalty(*a):
            return sum(jnp.sum(jnp.sin(g)) for g in gradient(*a))

        def slope(*a):
            return jnp.sum(jnp.sin(jax.jvp(f, a, tangent)[1]))

        return {
            "forward": jax.jvp(f, primal, tangent),
            "forward over reverse": jax.jvp(gradient, primal, tangent),
            "reverse over reverse": jax.grad(penalty, range(4))(*primal),
            "reverse over forward": jax.grad(slope, range(4))(*primal),
        }

    found, truth = jax.jit(lambda: (derivatives(ours), derivatives(formula)))()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-11), found, truth)
