# SPDX-License-Identifier: Apache-2.0
"""MADE with degrees that are drawn, several numbers an input, and a direct map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.layers.masking import drawn_degrees, made_degrees, made_masks
from jaxml.nn import MADE, Autoregressive, elementwise

D, F, R, WIDTHS = 5, 2, 3, (7, 6)


def shapes(**options):
    make = lambda: MADE(D, WIDTHS, R, n_features=F, direct=True, **options, rngs=nnx.Rngs(0))  # noqa: E731
    return jax.eval_shape(make)


def filled(tree, *batch):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(size=(*batch, *s.shape))), tree)


def test_it_is_masked_products(x64):
    """In NumPy: each of an input's numbers has that input's place, in the direct map too."""
    order = (2, 5, 1, 4, 3)
    net = filled(shapes(order=order))
    x = np.random.default_rng(1).normal(size=(4, D * F))
    masks = made_masks(order, WIDTHS)
    masks[0] = np.repeat(masks[0], F, axis=0)
    w = [np.asarray(k[...]) * m for k, m in zip(net.kernels, masks, strict=False)]
    h = np.maximum(x @ w[0] + np.asarray(net.biases[0][...]), 0)
    h = np.maximum(h @ w[1] + np.asarray(net.biases[1][...]), 0)
    raw = np.einsum("bh,hij->bij", h, np.asarray(net.last[...]) * masks[2][..., None])
    before = np.repeat(np.less.outer(order, order), F, axis=0)[..., None]
    raw = raw + np.einsum("bh,hij->bij", x, np.asarray(net.direct[...]) * before)
    raw = raw + np.asarray(net.last_bias[...])
    run = jax.jit(lambda net, x, degrees=None: net(x, degrees=degrees))
    np.testing.assert_allclose(run(net, jnp.asarray(x)), raw, rtol=1e-12)
    same = [jnp.asarray(d) for d in made_degrees(order, WIDTHS)]
    np.testing.assert_allclose(run(net, jnp.asarray(x), same), raw, rtol=1e-12)


def test_in_200_networks_and_orders_no_output_sees_what_comes_later(x64):
    """New numbers from some place on change no output up to that place, not by a bit."""
    nets, keys = filled(shapes(), 200), jax.random.split(jax.random.key(0), 200)
    rng = np.random.default_rng(2)
    x, noise = (jnp.asarray(rng.normal(size=(200, D, F))) for _ in range(2))
    first = jnp.asarray(rng.integers(1, D + 1, size=200), jnp.int32)

    @jax.jit
    def run(nets, keys):
        def one(net, key, x, noise, first):
            degrees = drawn_degrees(key, D, WIDTHS)
            moved = x + jnp.where((degrees[0] >= first)[:, None], noise, 0.0)
            both = jnp.stack([x, moved]).reshape(2, -1)
            return degrees[0], net(both, degrees=degrees)

        return jax.vmap(one)(nets, keys, x, noise, first)

    order, raw = map(np.asarray, run(nets, keys))
    change = np.abs(raw[:, 0] - raw[:, 1]).max(-1)
    early = order <= np.asarray(first)[:, None]
    assert change[early].max() == 0.0
    assert (change[~early] > 1e-6).all()  # through the direct map at least
    assert len(np.unique(order, axis=0)) > 70


def test_a_flow_asks_for_a_plain_network():
    """The way back of an autoregressive layer knows neither."""
    f = elementwise.affine()
    for options in ({"n_features": 2}, {"direct": True}):
        with pytest.raises(ValueError, match="network: expected one number an input"):
            Autoregressive(MADE(3, (4,), f.n_raw, **options, rngs=nnx.Rngs(0)), f)
    with pytest.raises(ValueError, match="n_features: expected a positive size, got 0"):
        MADE(3, (4,), 1, n_features=0, rngs=nnx.Rngs(0))
