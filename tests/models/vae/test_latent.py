# SPDX-License-Identifier: Apache-2.0
"""Sampling from the model's own law, and the geometry of interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import nn
from jaxml.losses import likelihood
from jaxml.models import vae


def test_samples_of_a_linear_model_have_its_mean_and_covariance():
    """x = Wz + μ + σε: mean μ, covariance WWᵀ + σ²I, within 4.5 standard errors."""
    decoder = nn.MLP(2, [], 3, rngs=nnx.Rngs(0))
    (layer,) = decoder.layers
    layer.bias.set_value(jnp.array([1.0, -2.0, 0.5]))
    encoder = nn.MLP(3, [], 4, rngs=nnx.Rngs(1))
    head = likelihood.normal_with_variance(0.25)
    model = vae.VAE(encoder, decoder, head, n_latent=2)
    sample = jax.jit(lambda key: vae.sample(model, key, 40_000))
    x = np.asarray(sample(jax.random.key(0)), np.float64)
    w = np.asarray(layer.kernel[...], np.float64)
    covariance = w.T @ w + 0.25 * np.eye(3)
    error = np.sqrt(np.diag(covariance) / 40_000)
    assert (np.abs(x.mean(0) - np.asarray(layer.bias[...])) < 4.5 * error).all()
    r = x - np.asarray(layer.bias[...])
    products = r[:, :, None] * r[:, None]
    error = products.std(0) / 200
    assert (np.abs(products.mean(0) - covariance) < 4.5 * error).all()


def test_reconstruction_is_the_decoded_posterior_mean():
    model = vae.mlp(4, [8], 2, likelihood.bernoulli(), rngs=nnx.Rngs(0))
    x = jnp.eye(4)
    by_hand = jax.jit(lambda x: jax.nn.sigmoid(model.decoder(model.encoder(x)[:, :2])))
    np.testing.assert_allclose(jax.jit(vae.reconstruct)(model, x), by_hand(x), rtol=1e-6)
    mean = jax.jit(vae.posterior)(model, x).mean
    np.testing.assert_array_equal(jax.jit(vae.encode)(model, x), mean)


def test_direction_is_what_tells_two_groups_apart():
    """With an affine encoder, adding Δ to the mean of one group gives the mean of the other."""
    networks = nn.MLP(3, [], 4, rngs=nnx.Rngs(0)), nn.MLP(2, [], 3, rngs=nnx.Rngs(1))
    model = vae.VAE(*networks, likelihood.bernoulli(), n_latent=2)
    x, other = jax.random.normal(jax.random.key(0), (2, 5, 3))
    other = other[:3]
    delta = np.asarray(jax.jit(vae.direction)(model, x, other))
    encode = jax.jit(vae.encode)
    moved = np.asarray(encode(model, other)).mean(0) + delta
    there = np.asarray(encode(model, x)).mean(0)
    np.testing.assert_allclose(moved, there, rtol=1e-5, atol=1e-6)
    kernel = np.asarray(model.encoder.layers[0].kernel[...])[:, :2]
    unencoded = (np.asarray(x).mean(0) - np.asarray(other).mean(0)) @ kernel
    np.testing.assert_allclose(delta, unencoded, rtol=1e-5, atol=1e-6)


def test_linear_interpolation_has_equal_steps():
    z, other = jax.random.normal(jax.random.key(0), (2, 4, 3))
    path = vae.interpolate_linear(z, other, 5)
    np.testing.assert_allclose(path[0], z, atol=1e-6)
    np.testing.assert_allclose(path[-1], other, atol=1e-6)
    np.testing.assert_allclose(
        np.diff(path, axis=0), np.diff(path, axis=0)[:1].repeat(4, 0), atol=1e-6
    )


def test_spherical_interpolation_is_the_shortest_arc():
    """Unit vectors stay on the sphere, at equal angles; the ends are exact."""
    z, other = jax.random.normal(jax.random.key(0), (2, 4, 3))
    length = np.linalg.norm(np.stack([z, other]), axis=-1, keepdims=True)
    z, other = (jnp.asarray(np.asarray(a) / r) for a, r in zip((z, other), length, strict=True))
    spherical = jax.jit(vae.interpolate_spherical, static_argnums=2)
    path = np.asarray(spherical(z, other, 7), np.float64)
    np.testing.assert_allclose(path[0], z, atol=1e-6)
    np.testing.assert_allclose(path[-1], other, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 1, atol=1e-5)
    total = np.arccos(np.sum(np.asarray(z * other, np.float64), -1))
    steps = np.arccos(np.clip(np.sum(path[1:] * path[:-1], -1), -1, 1))
    np.testing.assert_allclose(steps, np.broadcast_to(total / 6, steps.shape), rtol=1e-3)
    straight = np.linalg.norm(vae.interpolate_linear(z, other, 3)[1], axis=-1)
    assert (straight < 0.999).all()  # the line leaves the sphere


def test_spherical_interpolation_of_equal_directions_is_the_straight_line():
    """ω = 0, ω = π and the origin give finite values and gradients."""
    z = jnp.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    other = jnp.array([[2.0, 4.0], [-1.0, -2.0], [1.0, 0.0]])
    path = jax.jit(lambda z: vae.interpolate_spherical(z, other, 3))(z)
    np.testing.assert_allclose(path[1], (z + other) / 2, atol=1e-5)
    gradient = jax.jit(jax.grad(lambda z: jnp.sum(vae.interpolate_spherical(z, other, 3))))(z)
    assert np.isfinite(gradient).all()


def test_an_interpolation_has_two_ends():
    for path in (vae.interpolate_linear, vae.interpolate_spherical):
        with pytest.raises(ValueError, match="n: interpolation needs at least its 2 ends, got 1"):
            path(jnp.ones(2), jnp.zeros(2), 1)
