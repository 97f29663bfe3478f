# SPDX-License-Identifier: Apache-2.0
"""The VAE itself: its posterior, the rows its decoder sees, its context."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import nn
from jaxml.losses import likelihood
from jaxml.models import vae


def test_posterior_is_the_encoders_output_with_a_bounded_log_variance(with_numbers):
    """μ as it is, ℓ = 20 tanh(raw/20)."""
    model = with_numbers(lambda: vae.mlp(4, [8], 2, likelihood.bernoulli(), rngs=nnx.Rngs(0)))
    model.encoder = jax.tree.map(lambda p: 30 * p, model.encoder)
    x = jnp.eye(4)
    raw = np.asarray(model.encoder(x), np.float64)
    q = vae.posterior(model, x)
    np.testing.assert_allclose(q.mean, raw[:, :2], rtol=1e-6)
    np.testing.assert_allclose(q.log_variance, 20 * np.tanh(raw[:, 2:] / 20), rtol=1e-5)
    assert np.abs(raw[:, 2:]).max() > 20  # the bound was at work


def test_conditional_log_prob_pairs_every_sample_with_its_example(with_numbers):
    """[k, b] is Σ log p(x_b|z_kb, context_b): one call on all rows equals a loop."""
    head, options = likelihood.normal(), {"n_context": 2}
    model = with_numbers(lambda: vae.mlp(3, [8], 2, head, **options, rngs=nnx.Rngs(0)))
    x = jax.random.normal(jax.random.key(0), (4, 3))
    z = jax.random.normal(jax.random.key(1), (5, 4, 2))
    context = jax.random.normal(jax.random.key(2), (4, 2))
    value = np.asarray(jax.jit(vae.conditional_log_prob)(model, x, z, context=context))
    assert value.shape == (5, 4)
    decode = jax.jit(lambda z, context: model.decoder(z, context))
    x, z, context = map(np.asarray, (x, z, context))
    for k in range(5):
        for b in range(4):
            raw = np.asarray(decode(jnp.asarray(z[k, b]), jnp.asarray(context[b])), np.float64)
            mean, lv = raw[:3], 10 * np.tanh(raw[3:] / 10)
            each = -0.5 * (np.log(2 * np.pi) + lv + (x[b] - mean) ** 2 * np.exp(-lv))
            np.testing.assert_allclose(value[k, b], each.sum(), rtol=1e-5)


def test_a_conditional_batch_is_a_mapping(with_numbers):
    """{"x": x, "y": y} conditions on y, integers included; without "y" it is plain x."""
    head, options = likelihood.bernoulli(), {"n_context": 3}
    model = with_numbers(lambda: vae.mlp(4, [8], 2, head, **options, rngs=nnx.Rngs(0)))
    x, y = jnp.eye(4)[:2], jnp.array([[1, 0, 0], [0, 0, 1]])
    loss = jax.jit(vae.loss)
    for objective in (loss, jax.jit(vae.dreg_loss)):
        values = [
            objective(model, {"x": x, "y": labels}, jax.random.key(0))[0] for labels in (y, y[::-1])
        ]
        assert values[0] != values[1]
    elbo = jax.jit(vae.elbo)(model, x, jax.random.key(0), context=y.astype(jnp.float32))
    value, _ = loss(model, {"x": x, "y": y}, jax.random.key(0))
    np.testing.assert_allclose(value, -jnp.mean(elbo.value), rtol=1e-6)
    plain = with_numbers(lambda: vae.mlp(4, [8], 2, head, rngs=nnx.Rngs(0)))
    a, b = (loss(plain, batch, jax.random.key(0))[0] for batch in (x, {"x": x}))
    assert a == b


def test_half_precision_networks_keep_sums_in_float32(with_numbers):
    """bfloat16 networks, integer pixels: loss, metrics and gradients are float32."""
    head, options = likelihood.bernoulli(), {"dtype": jnp.bfloat16}
    model = with_numbers(lambda: vae.mlp(4, [8], 2, head, **options, rngs=nnx.Rngs(0)))
    x = jnp.eye(4, dtype=jnp.uint8)
    for objective in (vae.loss, vae.dreg_loss):
        out = jax.jit(jax.value_and_grad(objective, has_aux=True))(model, x, jax.random.key(0))
        assert {leaf.dtype for leaf in jax.tree.leaves(out)} == {jnp.dtype("float32")}


def test_wrong_sizes_are_named():
    rngs = nnx.Rngs(0)
    networks = nn.MLP(4, [8], 3, rngs=rngs), nn.MLP(2, [8], 4, rngs=rngs)
    with pytest.raises(ValueError, match="n_latent: expected a positive size, got 0"):
        vae.VAE(*networks, likelihood.bernoulli(), n_latent=0)
    model = vae.VAE(*networks, likelihood.bernoulli(), n_latent=2)
    with pytest.raises(ValueError, match="encoder: expected 4 outputs"):
        vae.posterior(model, jnp.eye(4))
