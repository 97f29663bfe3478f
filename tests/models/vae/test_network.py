# SPDX-License-Identifier: Apache-2.0
"""Ready-made networks fit every likelihood; one shared variance finds the mean squared error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import nn
from jaxml.losses import likelihood
from jaxml.models import vae

HEADS = [likelihood.bernoulli(), likelihood.normal(), likelihood.discretized_logistic(n_levels=17)]


@pytest.mark.parametrize("head", HEADS, ids=["bernoulli", "normal", "logistic"])
@pytest.mark.parametrize("conditional", [False, True])
def test_images_go_in_and_come_out(head, conditional):
    """Convolutional VAE on 8x8 images: finite loss and gradients, shapes of x everywhere."""
    n_context = 3 if conditional else 0
    model = vae.convolutional((8, 8, 1), (4, 6), 16, 2, head, n_context=n_context, rngs=nnx.Rngs(0))
    x = jax.random.bernoulli(jax.random.key(0), 0.5, (3, 8, 8, 1)).astype(jnp.float32)
    context = jnp.eye(3) if conditional else None
    batch = {"x": x, "y": context} if conditional else x
    step = jax.jit(jax.value_and_grad(vae.loss, has_aux=True))
    (value, _), gradient = step(model, batch, jax.random.key(1))
    assert np.isfinite(value)
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0
    assert vae.sample(model, jax.random.key(2), 3, context=context).shape == x.shape
    assert vae.reconstruct(model, x, context=context).shape == x.shape
    values = vae.log_likelihood(model, x, jax.random.key(3), n_samples=4, chunk=2, context=context)
    assert values.shape == (3,)


def test_mnist_sized_images_fit():
    """28x28 → 7x7 → z → 28x28, traced without running."""
    model = vae.convolutional((28, 28, 1), (8, 16), 32, 5, HEADS[0], rngs=nnx.Rngs(0))
    out = jax.eval_shape(vae.reconstruct, model, jnp.zeros((2, 28, 28, 1)))
    assert out.shape == (2, 28, 28, 1)


def test_the_shared_variance_is_stationary_at_the_mean_squared_error():
    """∂/∂ρ of log p(x|z) vanishes where e^ℓ is the mean squared error, and only there."""
    decoder = vae.SharedVariance(nn.MLP(2, [], 3, rngs=nnx.Rngs(0)))
    x, z = jax.random.normal(jax.random.key(0), (50, 3)), jnp.ones((50, 2))
    squared_error = jnp.mean(jnp.square(x - decoder.network(z)))

    def log_likelihood(rho):
        decoder.raw_log_variance.set_value(rho)
        return jnp.sum(likelihood.normal().log_prob(x, decoder(z)))

    best = 10 * jnp.arctanh(jnp.log(squared_error) / 10)
    assert abs(jax.grad(log_likelihood)(best)) < 1e-3
    assert jax.grad(log_likelihood)(best - 0.1) > 1
    assert jax.grad(log_likelihood)(best + 0.1) < -1
