# SPDX-License-Identifier: Apache-2.0
"""Flows over whole numbers: masses against integrals of the density over cells."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from jaxml.bijections import (
    Affine,
    Bijection,
    affine,
    affine_inverse,
    independent,
    uniform_noise,
)
from jaxml.models import flow
from jaxml.models.flow import Dequantized, dequantized
from jaxml.nn import ActNorm, Chain, Learned

LEVELS, SHAPE = 4, (2, 2, 1)
MEAN, SCALE = 0.6, 0.35


def gaussian(shape=SHAPE):
    """Pixels are independent N(0.6, 0.35²), so the mass of a cell is a difference of Φ."""
    params = Affine(jnp.asarray(-MEAN / SCALE), jnp.asarray(-math.log(SCALE)))
    layer = Learned(independent(Bijection(affine, affine_inverse), 3), params)
    return flow.Flow(layer, flow.Normal(*shape))


def mass(x):
    """log P(x) in nats: ∏ (Φ((x + 1)/L) − Φ(x/L))."""
    law = scipy.stats.norm(MEAN, SCALE)
    cells = law.cdf((x + 1) / LEVELS) - law.cdf(x / LEVELS)
    return np.log(cells).sum((1, 2, 3))


class Power(nnx.Module):
    """v = u^a with a = 1 + c/2 for the context c in [−1, 1): q(u | c) = a u^(a − 1)."""

    def forward(self, x, context):
        a = 1 + context / 2
        return x**a, (jnp.log(a) + (a - 1) * jnp.log(x)).sum((1, 2, 3))

    def inverse(self, y, context):
        u = y ** (1 / (1 + context / 2))
        return u, -self.forward(u, context)[1]


def power_noise():
    """Noise that follows the pixel, with weights of finite variance."""
    return flow.Flow(Power(), flow.Uniform(*SHAPE))


X = np.array([[0, 3, 1, 2], [2, 2, 3, 1]]).reshape(2, *SHAPE).astype(np.uint8)


@pytest.mark.parametrize("noise", [lambda: None, power_noise], ids=["uniform", "learned"])
def test_the_mean_weight_is_the_mass(noise):
    """E exp(log_weight) = P(x), within 4.5 standard errors of 20,000 draws, for any noise."""
    model = Dequantized(gaussian(), noise(), levels=LEVELS)
    keys = jax.random.split(jax.random.key(0), 20_000)
    draw = jax.jit(jax.vmap(partial(dequantized.log_weight, model, jnp.asarray(X))))
    ratio = np.exp(np.asarray(draw(keys), np.float64) - mass(X))
    error = ratio.std(0) / np.sqrt(len(keys))
    assert (np.abs(ratio.mean(0) - 1) < 4.5 * error).all()
    assert (error < 0.02).all()
    # Jensen: the mean of the logarithm, which training raises, lies below.
    assert (np.log(ratio).mean(0) < 0).all()


def test_more_draws_tighten_the_bound():
    """E log_likelihood rises with the draws towards log P(x); one draw is `log_weight`."""
    model = Dequantized(gaussian(), levels=LEVELS)
    x = jnp.asarray(np.repeat(X[:1], 4000, 0))
    bound = jax.jit(partial(dequantized.log_likelihood, model, x), static_argnames="n_samples")
    one, many = (np.asarray(bound(jax.random.key(1), n_samples=n)) for n in (1, 100))
    truth = mass(X)[0]
    assert one.mean() + 3 * one.std() / 4000**0.5 < many.mean() < truth + 0.01
    np.testing.assert_allclose(many.mean(), truth, atol=0.02)
    key = jax.random.split(jax.random.key(1), 1)[0]
    np.testing.assert_allclose(one, dequantized.log_weight(model, x, key), rtol=1e-5)


def test_the_loss_counts_in_nats_and_bits():
    """A uniform density has P = L^−D: D log L nats, log₂ L bits a dimension, for any noise."""

    class Identity(nnx.Module):
        def forward(self, x, context=None):
            return x, jnp.zeros(len(x))

    model = Dequantized(flow.Flow(Identity(), flow.Uniform(*SHAPE)), levels=LEVELS)
    value, metrics = dequantized.loss(model, jnp.asarray(X), jax.random.key(0))
    np.testing.assert_allclose(value, 4 * math.log(LEVELS), rtol=1e-6)
    np.testing.assert_allclose(metrics["bits_per_dim"], 2, rtol=1e-6)


def test_samples_are_whole_numbers_of_the_right_frequencies():
    """Frequencies of 4 × 5000 pixels against the cells, what lies outside counted at the edge."""
    model = Dequantized(gaussian(), levels=LEVELS)
    x = np.asarray(dequantized.sample(model, jax.random.key(0), 5000))
    assert np.issubdtype(x.dtype, np.integer)
    edges = scipy.stats.norm(MEAN, SCALE).cdf(np.arange(1, LEVELS) / LEVELS)
    expected = np.diff(np.concatenate([[0], edges, [1]])) * x.size
    assert scipy.stats.chisquare(np.bincount(x.ravel(), minlength=LEVELS), expected).pvalue > 1e-4
    cold = dequantized.sample(model, jax.random.key(0), 10, temperature=0.0)
    np.testing.assert_array_equal(cold, np.full((10, *SHAPE), 2))  # the mean 0.6 lies in cell 2


def test_a_start_touches_both_flows():
    """Actnorms of density and noise see the dequantized batch and its noise: z has variance 1."""

    def normalized():
        return flow.Flow(
            Chain([flow.from_unit_interval(1e-6), ActNorm(1, event=3)]), flow.Normal(*SHAPE)
        )

    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(0, 256, (500, *SHAPE)), jnp.uint8)
    model = dequantized.start(Dequantized(normalized(), normalized()), x, jax.random.key(0))
    u = uniform_noise(x, jax.random.key(0))
    for part, y in ((model.flow, (x.astype(u.dtype) + u) / 256), (model.noise, u)):
        z = flow.encode(part, y)
        np.testing.assert_allclose([z.mean(), z.var()], [0, 1], atol=1e-4)
    assert model.levels == 256


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="levels: expected at least 2"):
        Dequantized(gaussian(), levels=1)
    with pytest.raises(ValueError, match="n_samples: expected at least 1"):
        dequantized.log_likelihood(
            Dequantized(gaussian()), jnp.asarray(X), jax.random.key(0), n_samples=0
        )
