# SPDX-License-Identifier: Apache-2.0
"""The VQ-VAE: exact gradients past the codes, moving codes, honest bounds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import nn
from jaxml.losses import likelihood
from jaxml.models import vqvae
from jaxml.nn.pyramid import Down, Up

N_CODES, DIM = 8, 3


class Chunked(nnx.Module):
    """An MLP on flat data whose output is two vectors."""

    def __init__(self, rngs):
        self.network = nn.MLP(6, [16], 2 * DIM, rngs=rngs)

    def __call__(self, x):
        return self.network(x).reshape(-1, 2, DIM)


class Flat(nnx.Module):
    """An MLP from two codes to flat data."""

    def __init__(self, rngs):
        self.network = nn.MLP(2 * DIM, [16], 6, rngs=rngs)

    def __call__(self, codes):
        return self.network(codes.reshape(-1, 2 * DIM))


def flat_model(codebook=vqvae.Codebook, seed=0):
    rngs = nnx.Rngs(seed)
    book = codebook(N_CODES, DIM, rngs=rngs)
    book.codes.set_value(jax.random.normal(jax.random.key(9), (N_CODES, DIM)))
    return vqvae.VQVAE(Chunked(rngs), Flat(rngs), likelihood.bernoulli(), book, grid=(2,))


@pytest.fixture
def x():
    return jax.random.bernoulli(jax.random.key(3), 0.5, (12, 6)).astype(jnp.float32)


@jax.jit
def encoded(model, x):
    """The vectors of the encoder and the indices of their codes."""
    return model.encoder(x), vqvae.encode(model, x)


def test_loss_is_its_formula_and_gradient_goes_straight_through(x):
    """Every gradient equals that of the three terms written out by hand with frozen codes."""
    model = flat_model()
    z0, indices = encoded(model, x)
    e0 = np.asarray(model.codebook.codes[...])[indices]

    def by_hand(model):
        z, e = model.encoder(x), model.codebook.codes[...][indices]
        logits = model.decoder(z + jax.lax.stop_gradient(e0 - z0))
        reconstruction = -(x * jnp.logaddexp(0, -logits) + (1 - x) * jnp.logaddexp(0, logits))
        pulls = jnp.square(jax.lax.stop_gradient(z0) - e) + 0.25 * jnp.square(z - e0)
        return (pulls.sum() - reconstruction.sum()) / 12

    ours = jax.value_and_grad(lambda m: vqvae.loss(m, x, jax.random.key(0))[0])
    value, gradient = jax.jit(ours)(model)
    expected_value, expected = jax.jit(jax.value_and_grad(by_hand))(model)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-6), gradient, expected)
    assert np.abs(np.asarray(gradient.encoder.network.layers[0].kernel[...])).max() > 1e-3


def test_moving_codes_follow_inside_the_loss_and_reach_the_caller(x):
    """After one jitted loss from fresh statistics each used code is the mean of its vectors."""
    graph, state = nnx.split(flat_model(vqvae.MovingCodebook))

    @jax.jit
    def step(state):
        model = nnx.merge(graph, state, copy=True)
        value, metrics = vqvae.loss(model, x, jax.random.key(0))
        return nnx.state(model), value, metrics

    before = nnx.merge(graph, state)
    z, indices = map(np.asarray, encoded(before, x))
    state, value, metrics = step(state)
    after = nnx.merge(graph, state)
    old, new = (np.asarray(model.codebook.codes[...]) for model in (before, after))
    for k in range(N_CODES):
        expected = z[indices == k].mean(0) if (indices == k).any() else old[k]
        np.testing.assert_allclose(new[k], expected, rtol=1e-5, atol=1e-6)
    expected = 0.25 * metrics["commitment"] - metrics["reconstruction"]
    np.testing.assert_allclose(value, expected, rtol=1e-6)  # no codebook term
    slope = jax.jit(jax.grad(lambda m: vqvae.loss(m, x, jax.random.key(0))[0]))
    gradient = slope(nnx.merge(graph, state, copy=True))
    np.testing.assert_array_equal(gradient.codebook.codes[...], 0.0)


def test_elbo_counts_the_codes(x):
    """Uniform prior: reconstruction − 2 log 8; a fitted prior is normalized and does better."""
    model = flat_model()
    bound = jax.jit(vqvae.elbo)(model, x)
    np.testing.assert_allclose(bound.code_log_prob, -2 * np.log(8), rtol=1e-6)
    np.testing.assert_allclose(bound.value, bound.reconstruction - 2 * np.log(8), rtol=1e-5)
    _, metrics = jax.jit(vqvae.loss)(model, x, jax.random.key(0))
    np.testing.assert_allclose(metrics["elbo"], jnp.mean(bound.value), rtol=1e-5)
    logits = jax.jit(vqvae.prior_logits)(model, x)
    np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, rtol=1e-6)
    counts = np.stack([np.bincount(i, minlength=8) for i in np.asarray(encoded(model, x)[1]).T])
    np.testing.assert_allclose(logits, np.log((counts + 1) / 20), rtol=1e-6)
    assert jax.jit(vqvae.elbo)(model, x, logits=logits).value.mean() > bound.value.mean()


def test_elbo_is_below_the_exact_likelihood_by_enumeration(x):
    """log Σ_codes p(codes) p(x|codes) over all 64 code pairs is at least the bound."""
    model = flat_model()
    pairs = jnp.stack(jnp.meshgrid(jnp.arange(8), jnp.arange(8)), -1).reshape(64, 2)

    @jax.jit
    def joint_of_pairs(model, x):
        raw = model.decoder(model.codebook.codes[...][pairs])
        return model.likelihood.log_prob(x[:, None], raw[None]).sum(-1) - np.log(64)

    joint = joint_of_pairs(model, x)
    exact = np.log(np.exp(np.asarray(joint, np.float64)).sum(1))
    assert (exact >= np.asarray(jax.jit(vqvae.elbo)(model, x).value)).all()


def test_sample_uses_the_prior():
    """Logits that allow one code only give the samples of that code."""
    model = flat_model()
    logits = jnp.full((2, N_CODES), -jnp.inf).at[:, 5].set(0.0)
    sample = jax.jit(lambda key: vqvae.sample(model, key, 4000, logits=logits))
    draws = sample(jax.random.key(0))
    p = np.asarray(jax.jit(vqvae.decode)(model, jnp.full((1, 2), 5)))[0]
    assert draws.shape == (4000, 6)
    error = np.sqrt(p * (1 - p) / 4000)
    assert (np.abs(np.asarray(draws).mean(0) - p) < 4.5 * error).all()


def test_restart_moves_dead_codes_onto_vectors_and_leaves_the_model_alone(x):
    """Codes without a vector become vectors of x; used ones, and the old model, stay."""
    model = flat_model(vqvae.MovingCodebook)
    model.codebook.codes[...] = model.codebook.codes[...].at[2:].add(50.0)
    model.codebook.counts[...] = jnp.ones(N_CODES)
    old = np.asarray(model.codebook.codes[...])
    new = jax.jit(vqvae.restart)(model, x, jax.random.key(0))
    np.testing.assert_array_equal(model.codebook.codes[...], old)
    z, indices = map(np.asarray, encoded(model, x))
    used, z = np.unique(indices), z.reshape(-1, DIM)
    counts = np.asarray(new.codebook.counts[...])
    for k, code in enumerate(np.asarray(new.codebook.codes[...])):
        if k in used:
            np.testing.assert_array_equal(code, old[k])
        else:
            assert (z == code).all(-1).any()
        assert counts[k] == (k in used)


def test_images_go_through_a_grid_of_codes(with_numbers):
    """Convolutional encoder and decoder: 8x8 images to 2x2 codes and back, under jit and grad."""

    def build():
        rngs = nnx.Rngs(0)
        return vqvae.VQVAE(
            Down(1, (4, DIM), rngs=rngs),
            Up((DIM, 4), 1, rngs=rngs),
            likelihood.normal_with_variance(0.1),
            vqvae.Codebook(N_CODES, DIM, rngs=rngs),
            grid=(2, 2),
        )

    model = with_numbers(build)
    x = jax.random.uniform(jax.random.key(0), (3, 8, 8, 1))
    assert jax.eval_shape(vqvae.encode, model, x).shape == (3, 2, 2)
    assert jax.eval_shape(vqvae.reconstruct, model, x).shape == x.shape
    value = jax.jit(lambda m: vqvae.loss(m, x, jax.random.key(0))[0])
    assert np.isfinite(value(model))


def test_nan_is_never_a_finite_loss(x):
    model = flat_model()
    x = x.at[0, 0].set(jnp.nan)
    assert np.isnan(jax.jit(vqvae.loss)(model, x, jax.random.key(0))[0])


def test_sizes_are_checked(x):
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match="n_codes, dim: expected positive"):
        vqvae.Codebook(0, 2, rngs=rngs)
    with pytest.raises(ValueError, match="decay: expected a number in"):
        vqvae.MovingCodebook(2, 2, decay=1.0, rngs=rngs)
    model = flat_model()
    model.grid = (3,)
    with pytest.raises(ValueError, match=r"encoder: expected vectors of shape \(3, 3\)"):
        vqvae.encode(model, x)
