# SPDX-License-Identifier: Apache-2.0
"""A small VAE for the tests of its objectives."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxml.losses import likelihood
from jaxml.models import vae


@pytest.fixture(scope="module")
def small(with_numbers):
    """A Bernoulli VAE with random weights, q(z|x) wider than the posterior, and three examples.

    Wide q keeps the weights bounded; only then do the gradients scale with K as the theory says.
    """
    head, options = likelihood.bernoulli(), {"activation": jnp.tanh}
    model = with_numbers(lambda: vae.mlp(6, [8], 2, head, **options, rngs=nnx.Rngs(0)))
    model.encoder = jax.tree.map(lambda p: 0.3 * p, model.encoder)
    return model, jax.random.bernoulli(jax.random.key(5), 0.5, (3, 6)).astype(jnp.float32)
