# SPDX-License-Identifier: Apache-2.0
"""What masked diffusion models ask of a network, of data and of options."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import diffusion as d
from jaxml.models import masked_diffusion

K, L = 3, 3
DATA = np.array(list(itertools.product(range(K), repeat=L)))
TABLE = np.random.default_rng(0).normal(size=((K + 1) ** L, L, K))


class Table(nnx.Module):
    """Logits of every context, by its number, to which a row of a context is added."""

    def __init__(self, logits):
        self.logits = nnx.Param(jnp.asarray(logits, jnp.float32))

    def __call__(self, tokens, t, context=None):
        logits = self.logits[...][tokens @ (K + 1) ** jnp.arange(L - 1, -1, -1)]
        return logits if context is None else logits + context[:, None]


def model_of(table):
    return masked_diffusion.MaskedDiffusion(Table(table), K, L)


def test_temperature_and_context_reach_the_logits():
    """Half the temperature is twice the logits, context and all; a batch carries its context."""
    context = 3 * jax.random.normal(jax.random.key(0), (500, K))
    draw = jax.jit(
        lambda table, context, temperature: masked_diffusion.sample(
            model_of(table),
            *(jax.random.key(5), 500),
            n_steps=4,
            temperature=temperature,
            context=context,
        )
    )
    one, half, table = jnp.asarray(1.0), jnp.asarray(0.5), jnp.asarray(TABLE, jnp.float32)
    cold = draw(table, context, half)
    np.testing.assert_array_equal(cold, draw(2 * table, 2 * context, one))
    assert (cold != draw(table, context, one)).any()
    assert (cold != draw(table, -context, half)).any()
    x, same = jnp.asarray(DATA), jnp.tile(context[:1], (len(DATA), 1))

    @jax.jit
    def values(table, y):
        model, (first, second) = model_of(table), jax.random.split(jax.random.key(1))
        loss, _ = masked_diffusion.loss(model, {"x": x, "y": y}, first)
        return loss, masked_diffusion.elbo(model, x, second, n_times=1, context=y)

    told, shifted, untold = (
        values(table, same),
        values(table + context[0][None, None], jnp.zeros_like(same)),
        values(table, jnp.zeros_like(same)),
    )
    for a, b, c in zip(told, shifted, untold, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
        assert jnp.abs(a - c).max() > 0.01


def test_the_network_is_told_the_time_of_its_masks():
    """Sure of the right token while the share of masks is 1 − α_t, of the wrong one else."""

    def network(tokens, t):
        share = jnp.mean(tokens == 2, axis=1, dtype=jnp.float32)
        right = jnp.abs(share - jnp.sin(jnp.pi / 2 * t)) < 0.03
        logits = jnp.where(right[:, None], jnp.asarray([[0.0, -jnp.inf]]), -jnp.inf)
        logits = logits.at[:, 1].set(jnp.where(right, -jnp.inf, 0.0))
        return jnp.broadcast_to(logits[:, None], (*tokens.shape, 2))

    model = masked_diffusion.MaskedDiffusion(network, 2, 10000, schedule=d.stage.cosine())
    x = jnp.zeros((4, 10000), jnp.int32)

    @jax.jit
    def values(key):
        keys = jax.random.split(key, 4)
        loss, _ = masked_diffusion.loss(model, x, keys[0])
        continuous = masked_diffusion.elbo(model, x, keys[1], n_times=3)
        in_steps = masked_diffusion.elbo(model, x, keys[2], n_times=3, n_steps=5)
        return loss, continuous, in_steps, masked_diffusion.sample(model, keys[3], 4, n_steps=5)

    for value in values(jax.random.key(0)):
        np.testing.assert_array_equal(value, 0)


def test_bytes_can_be_tokens():
    """256 of them: the mask is a number that no byte has."""

    def network(tokens, t):
        assert tokens.dtype == jnp.int32
        return jnp.where((tokens == 256)[..., None], jnp.zeros(256)[None, None], jnp.nan)

    model = masked_diffusion.MaskedDiffusion(network, 256, 5)
    x = jnp.asarray([[0, 255, 3, 4, 5]] * 8, jnp.uint8)
    elbo = jax.jit(lambda key: masked_diffusion.elbo(model, x, key, n_times=200))
    assert abs(float(elbo(jax.random.key(0)).mean()) / (5 * np.log(256)) + 1) < 0.2


def test_gradients_are_finite_whatever_is_drawn():
    model, x = model_of(100 * TABLE), jnp.asarray(DATA)
    slope = jax.jit(jax.grad(lambda m, key: masked_diffusion.loss(m, x, key)[0]))
    for seed in range(20):
        (gradient,) = jax.tree.leaves(slope(model, jax.random.key(seed)))
        assert jnp.isfinite(gradient).all()


def test_nan_is_never_a_finite_loss():
    """Of a network, and of data with a token that does not exist."""
    x = jnp.asarray(DATA)
    loss = jax.jit(lambda table, x: masked_diffusion.loss(model_of(table), x, jax.random.key(0))[0])
    table = jnp.asarray(TABLE, jnp.float32)
    assert np.isfinite(loss(table, x))
    assert np.isnan(loss(table.at[:].set(jnp.nan), x))
    assert np.isnan(loss(table, x.at[:, 0].set(K)))


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="n_tokens, length: expected positive"):
        masked_diffusion.MaskedDiffusion(Table(TABLE), 0, 3)
    model, x = model_of(TABLE), jnp.asarray(DATA)
    wide = masked_diffusion.MaskedDiffusion(Table(TABLE), K + 1, L)
    elbo, sample = masked_diffusion.elbo, masked_diffusion.sample
    for match, call in {
        "x: expected rows of 3 tokens": lambda key: elbo(model, jnp.zeros((2, 4), int), key),
        r"known: expected shape \(2, 3\)": lambda key: sample(
            model, key, 2, known=jnp.zeros((1, 3), int)
        ),
        "n_times: expected": lambda key: elbo(model, x, key, n_times=0),
        "n_steps: expected at least": lambda key: elbo(model, x, key, n_steps=0),
        "n_steps: expected": lambda key: sample(model, key, 2, n_steps=0),
        "temperature: expected": lambda key: sample(model, key, 2, temperature=-1.0),
        "network: expected logits of shape": lambda key: sample(wide, key, 2),
    }.items():
        with pytest.raises(ValueError, match=match):
            call(jax.random.key(0))
