# SPDX-License-Identifier: Apache-2.0
"""NADE against loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import expit

from jaxml.nn import NADE

D, H, F, R = 4, 5, 2, 3
ORDER = (3, 1, 4, 2)


def build(**options):
    """In double precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    make = lambda: NADE(D, H, R, n_features=F, **options, rngs=nnx.Rngs(0))  # noqa: E731
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(0.7 * rng.normal(size=s.shape)), shapes)


@pytest.mark.parametrize("options", [{}, {"order": ORDER, "n_context": 2}])
def test_it_is_the_formula(options, x64):
    """raw_i = V_i σ(c + Σ_{j before i} W_j x_j) + b_i, every sum written out."""
    net, rng = build(**options), np.random.default_rng(1)
    x, order = rng.normal(size=(6, D, F)), options.get("order", range(1, D + 1))
    c = rng.normal(size=(6, 2)) if options else None
    w, v, b, bias = (
        np.asarray(a[...]) for a in (net.kernel, net.last, net.last_bias, net.bias)
    )  # fmt: skip
    expected = np.zeros((6, D, R))
    for i in range(D):
        a = np.tile(bias, (6, 1))
        if c is not None:
            a = a + c @ np.asarray(net.context[...])
        for j in range(D):
            if order[j] < order[i]:
                a = a + x[:, j] @ w[j]
        expected[:, i] = expit(a) @ v[i] + b[i]
        if c is not None:
            expected[:, i] += c @ np.asarray(net.last_context[...])[:, i]
    given = None if c is None else jnp.asarray(c)
    got = jax.jit(net.__call__)(jnp.asarray(x.reshape(6, -1)), given)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_what_is_walked_is_what_is_read(x64):
    """Rows made one input after another give back the raw numbers that they were made of."""
    net = build(order=ORDER)

    def draw(raw, key):
        x = raw[:, 0] + jax.random.normal(key, raw[:, 0].shape, raw.dtype)
        return x, jnp.stack([x, jnp.square(x)], axis=-1)

    @jax.jit
    def both(net, key):
        x = net.walk(draw, key, 7)
        raw = net(jnp.stack([x, jnp.square(x)], axis=-1).reshape(7, -1))
        keys = jax.random.split(jax.random.clone(key), D)
        noise = jax.vmap(lambda k: jax.random.normal(k, (7,), raw.dtype))(keys)
        return x, raw[..., 0] + noise[jnp.asarray(ORDER) - 1].T

    np.testing.assert_allclose(*both(net, jax.random.key(0)), rtol=1e-12)


def test_outputs_begin_equal_and_sizes_are_checked():
    """V begins at 0, and what does not fit is named."""
    net = jax.jit(lambda: NADE(3, 4, 2, rngs=nnx.Rngs(0)))()
    assert (net(jnp.ones((2, 3))) == 0).all()
    for message, call in {
        "order: expected a permutation": lambda: NADE(3, 4, 2, order=(1, 1, 2), rngs=nnx.Rngs(0)),
        "width: expected a positive size": lambda: NADE(3, 0, 2, rngs=nnx.Rngs(0)),
        "context: expected none, got 2 features": lambda: net(jnp.ones((2, 3)), jnp.ones((2, 2))),
        "context: expected 1 features, got none": lambda: jax.eval_shape(
            lambda: NADE(3, 4, 2, n_context=1, rngs=nnx.Rngs(0))(jnp.ones((2, 3)))
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
