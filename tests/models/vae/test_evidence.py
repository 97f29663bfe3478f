# SPDX-License-Identifier: Apache-2.0
"""The importance-sampled log-likelihood against quadrature, and the collapse of latent units."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml import nn
from jaxml.losses import likelihood
from jaxml.models import vae
from jaxml.probability import monte_carlo


def affine(layer, h):
    return h @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...], np.float64)


def quadrature(model, x, n_latent):
    """log ∫ N(z; 0, I) Π Bernoulli(x; decoder(z)) dz on a grid, in NumPy and float64."""
    line = np.linspace(-7, 7, 281)
    axes = np.meshgrid(*[line] * n_latent, indexing="ij")
    z = np.stack([a.ravel() for a in axes], axis=-1)
    first, last = model.decoder.layers
    logits = affine(last, np.tanh(affine(first, z)))
    x = np.asarray(x, np.float64)
    log_p = -np.logaddexp(0, -logits) @ x.T - np.logaddexp(0, logits) @ (1 - x).T
    prior = -0.5 * (z**2).sum(-1) - 0.5 * n_latent * np.log(2 * np.pi)
    joint = log_p + prior[:, None] + n_latent * np.log(line[1] - line[0])
    top = joint.max(0)
    return top + np.log(np.exp(joint - top).sum(0))


def trained(n_latent, with_numbers):
    """A Bernoulli VAE with a tanh decoder after 400 steps on two noisy patterns, and test data."""
    rng = np.random.default_rng(0)
    patterns = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1, 0, 1]])
    x = patterns[rng.integers(0, 2, 300)] ^ (rng.random((300, 8)) < 0.1)
    x = jnp.asarray(x, jnp.float32)
    head, options = likelihood.bernoulli(), {"activation": jnp.tanh}
    model = with_numbers(lambda: vae.mlp(8, [16], n_latent, head, **options, rngs=nnx.Rngs(0)))
    optimizer = optax.adam(1e-2)

    def step(carry, key):
        model, state = carry
        gradient = jax.grad(lambda m: vae.loss(m, x[:256], key)[0])(model)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(model, updates), state), None

    keys = jax.random.split(jax.random.key(1), 400)
    with jax.numpy_dtype_promotion("standard"):  # Adam's decay ** count mixes float and int
        start = (model, optimizer.init(model))
        (model, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, keys))(start)
    return model, x[256:]


@pytest.mark.parametrize("n_latent", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_5000_samples_are_within_002_nats_of_quadrature(n_latent, with_numbers):
    """|IWAE_5000 − log p(x)| ≤ 0.02 nats on average over 44 held-out examples."""
    model, x = trained(n_latent, with_numbers)
    exact = quadrature(model, x, n_latent)
    estimate = jax.jit(vae.log_likelihood)(model, x, jax.random.key(0))
    assert abs(np.mean(np.asarray(estimate) - exact)) < 0.02
    assert np.abs(np.asarray(estimate) - exact).max() < 0.1
    elbo = jax.jit(vae.elbo)(model, x, jax.random.key(1)).value.mean()
    assert elbo < exact.mean() - 0.05  # the bound that importance sampling closes
    mean, error = monte_carlo.estimate(estimate)
    assert abs(float(mean) - exact.mean()) < 0.02 < float(error)


def test_neither_chunks_nor_batches_change_what_is_estimated(with_numbers):
    """Batch sizes give the same values; a ragged last chunk counts n_samples, not more."""
    model = with_numbers(lambda: vae.mlp(4, [8], 2, likelihood.bernoulli(), rngs=nnx.Rngs(0)))
    x = jax.random.bernoulli(jax.random.key(0), 0.5, (7, 4)).astype(jnp.float32)

    def run(**options):
        run = jax.jit(lambda x, key: vae.log_likelihood(model, x, key, **options))
        return run(x, jax.random.key(1))

    whole = run(n_samples=13, chunk=5, batch_size=7)
    np.testing.assert_allclose(run(n_samples=13, chunk=5, batch_size=3), whole, rtol=1e-6)

    # example 2 by hand: chunks of 5 under fold_in(fold_in(key, 2), chunk), the first 13 weights
    own = jax.random.fold_in(jax.random.key(1), 2)
    weigh = jax.jit(lambda key: vae.log_weight(model, x[2:3], key, 5)[:, 0])
    log_w = [weigh(jax.random.fold_in(own, i)) for i in range(3)]
    log_w = np.concatenate(log_w).astype(np.float64)[:13]
    np.testing.assert_allclose(whole[2], np.log(np.exp(log_w).mean()), rtol=1e-5)


def test_sizes_must_be_positive(with_numbers):
    model = with_numbers(lambda: vae.mlp(4, [8], 2, likelihood.bernoulli(), rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="chunk: expected a positive size, got 0"):
        vae.log_likelihood(model, jnp.eye(4), jax.random.key(0), chunk=0)


def test_collapsed_units_are_told_from_active_ones():
    """An encoder that ignores x in one of three dimensions, and barely moves in another."""
    encoder = nn.MLP(2, [], 6, rngs=nnx.Rngs(0))
    (layer,) = encoder.layers
    kernel = jnp.zeros((2, 6)).at[0, 0].set(1.0).at[1, 1].set(0.05)
    layer.kernel.set_value(kernel)
    model = vae.VAE(encoder, nn.MLP(3, [], 2, rngs=nnx.Rngs(1)), likelihood.bernoulli(), n_latent=3)
    x = jax.random.normal(jax.random.key(0), (1000, 2))
    variance = np.asarray(x).var(0)
    expected = [variance[0], 0.05**2 * variance[1], 0]
    np.testing.assert_allclose(jax.jit(vae.activity)(model, x), expected, rtol=1e-4, atol=1e-9)
    assert vae.active_units(model, x) == 1
    assert vae.active_units(model, x, threshold=0.002) == 2
    second = np.square(np.asarray(x)).mean(0) / 2
    expected = [second[0], 0.05**2 * second[1], 0]  # unit variances: KL = μ²/2
    divergence = jax.jit(vae.kl_per_dimension)(model, x)
    np.testing.assert_allclose(divergence, expected, rtol=1e-4, atol=1e-9)
