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


@pytest.mark.parametrize(
    ("head", "conditional"),
    [(likelihood.bernoulli(), False), (likelihood.discretized_logistic(), True)],
    ids=["bernoulli", "conditional-logistic"],
)
def test_images_go_in_and_come_out(head, conditional, with_numbers):
    """Convolutional VAE on 8x8 images: finite loss and gradients, shapes of x everywhere."""
    x = jax.random.bernoulli(jax.random.key(0), 0.5, (3, 8, 8, 1)).astype(jnp.float32)
    context = jnp.eye(3) if conditional else None
    n_context = 3 if conditional else 0

    def build():
        options = {"n_context": n_context, "rngs": nnx.Rngs(0)}
        return vae.convolutional((8, 8, 1), (4, 6), 16, 2, head, **options)

    model, batch = with_numbers(build), {"x": x, "y": context}
    step = jax.jit(jax.value_and_grad(vae.loss, has_aux=True))
    (value, _), gradient = step(model, batch, jax.random.key(1))
    assert np.isfinite(value)
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0

    def shapes(one, two):
        draws = vae.sample(model, one, 3, context=context)
        shown = vae.reconstruct(model, x, context=context)
        return draws, shown, vae.log_likelihood(model, x, two, chunk=4, context=context)

    draws, shown, log_p = jax.eval_shape(shapes, jax.random.key(1), jax.random.key(2))
    assert draws.shape == shown.shape == x.shape
    assert log_p.shape == (3,)


def test_mnist_sized_images_fit():
    """28x28 → 7x7 → z → 28x28, traced without running."""

    def reconstruct(x, key):
        options = {"rngs": nnx.Rngs(key)}
        model = vae.convolutional((28, 28, 1), (8, 16), 32, 5, likelihood.normal(), **options)
        return vae.reconstruct(model, x)

    out = jax.eval_shape(reconstruct, jnp.zeros((2, 28, 28, 1)), jax.random.key(0))
    assert out.shape == (2, 28, 28, 1)


def test_the_shared_variance_is_stationary_at_the_mean_squared_error():
    """∂/∂ρ of log p(x|z) vanishes where e^ℓ is the mean squared error, and only there."""
    decoder = vae.SharedVariance(nn.MLP(2, [], 3, rngs=nnx.Rngs(0)))
    x, z = jax.random.normal(jax.random.key(0), (50, 3)), jnp.ones((50, 2))
    best = 10 * jnp.arctanh(jnp.log(jnp.mean(jnp.square(x - decoder.network(z)))) / 10)

    @jax.jit
    def slope(rho):
        def log_likelihood(decoder):
            return jnp.sum(likelihood.normal().log_prob(x, decoder(z)))

        copy = jax.tree.map(lambda p: p, decoder)
        copy.raw_log_variance.set_value(rho)
        return jax.grad(log_likelihood)(copy).raw_log_variance[...]

    assert abs(slope(best)) < 1e-3
    assert slope(best - 0.1) > 1
    assert slope(best + 0.1) < -1
