# SPDX-License-Identifier: Apache-2.0
"""Critics that project: the score against its sum, and the game whose answer has that form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import MLP, Projection


def test_the_score_is_two_inner_products():
    """⟨w, φ⟩ + b + Σ_ij c_i V_ij φ_j in NumPy."""
    net = Projection(lambda x: x - 0.5, 3, 2, activation=jnp.tanh, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(4, 3)).astype("f4"), rng.normal(size=(4, 2)).astype("f4")
    phi = np.tanh(x - 0.5)
    w, b = np.asarray(net.score.kernel[...])[:, 0], np.asarray(net.score.bias[...])[0]
    v = np.asarray(net.expected.kernel[...])
    expected = phi @ w + b + np.einsum("ni,ij,nj->n", c, v, phi)
    np.testing.assert_allclose(jax.jit(net)(x, c), expected, rtol=1e-5, atol=1e-6)


def test_it_can_be_the_optimal_critic_of_two_classes(x64):
    """Class c has real examples at N(μ_c, 1) and generated ones at N(0, 1).

    The optimal score μ_c x − μ_c²/2 is ⟨w + V c, φ⟩ + b for φ = (x, 1) and the weights below.
    """
    mu = np.array([1.0, -2.0])
    net = Projection(
        lambda x: jnp.stack([x[:, 0], jnp.ones(len(x))], -1),
        2,
        2,
        activation=lambda x: x,
        rngs=nnx.Rngs(0),
    )
    net = jax.tree.map(lambda a: a.astype(jnp.float64), net)
    net.score.kernel.set_value(jnp.zeros((2, 1)))
    net.score.bias.set_value(jnp.zeros(1))
    net.expected.kernel.set_value(jnp.stack([jnp.asarray(mu), jnp.asarray(-(mu**2) / 2)], -1))
    x = np.linspace(-3, 3, 7)
    for c, m in enumerate(mu):
        log_ratio = -((x - m) ** 2) / 2 + x**2 / 2
        context = jnp.tile(jnp.eye(2)[c], (7, 1))
        np.testing.assert_allclose(net(jnp.asarray(x[:, None]), context), log_ratio, atol=1e-12)


def test_sizes_are_checked():
    features = MLP(3, (), 4, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="n_context"):
        Projection(features, 4, 0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="n: expected"):
        Projection(features, 0, 2, rngs=nnx.Rngs(0))
