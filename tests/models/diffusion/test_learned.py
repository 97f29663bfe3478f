# SPDX-License-Identifier: Apache-2.0
"""A learned schedule: which of its parameters follow what, and where the best way goes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import diffusion as d
from jaxml.models import diffusion
from jaxml.nn import LearnedSchedule
from jaxml.nn.learned_schedule import Way
from jaxml.optimizers import adam

VARIANCE = 0.25
LOW, HIGH = -6.0, 6.0


def model_of(schedule):
    """The best network for N(0, v) between the first ends, told how much of the way is behind."""

    def network(x, told, context=None):
        level = HIGH - (HIGH - LOW) * told
        alpha, sigma = (jnp.sqrt(jax.nn.sigmoid(s * level))[:, None] for s in (1, -1))
        x0 = alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * x
        return d.V.target(d.Clean(x0, (x - alpha * x0) / sigma), d.Noise(alpha, sigma, level))

    return diffusion.Diffusion(network, schedule, parameterization=d.V, shape=(2,))


def data(n):
    return jnp.asarray(np.random.default_rng(0).normal(0, VARIANCE**0.5, (n, 2)), jnp.float32)


def way_of(schedule):
    """λ at many times."""
    return np.asarray(schedule.log_snr(jnp.linspace(0.0, 1.0, 101)))


def best_way():
    """log(1 + v e^λ) falls on a straight line: every time has the same share of the bound."""
    ends = np.log1p(VARIANCE * np.exp([HIGH, LOW]))
    return np.log(np.expm1(ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 101)) / VARIANCE)


def test_every_weight_gives_a_schedule():
    """λ falls from end to end for random parameters, in single precision."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        schedule = LearnedSchedule(LOW, HIGH, n_units=8)
        schedule.weight[...] = jnp.asarray(rng.normal(0, 2, 9), jnp.float32)
        schedule.log_slope[...] = jnp.asarray(rng.normal(2, 3, 8), jnp.float32)
        schedule.center[...] = jnp.asarray(rng.normal(0, 4, 8), jnp.float32)
        way = way_of(schedule)
        np.testing.assert_allclose(way[[0, -1]], [HIGH, LOW], atol=2e-5)
        assert (np.diff(way) < 0).all()
    noise = schedule.schedule.at(jnp.linspace(0.0, 1.0, 5))
    np.testing.assert_allclose(noise.alpha**2 + noise.sigma**2, 1, atol=1e-6)


def test_the_learned_way_has_the_least_variance():
    """The way goes to where the best one is, its estimate of the bound varies less; the ends stay.

    One time with one draw of x has the bound's part −½ λ' |ε − ε̂|², whose mean square is the least
    where λ' E|ε − ε̂|² is the same everywhere.
    """
    model, x = model_of(LearnedSchedule(LOW, HIGH)), data(2048)
    graph, way, rest = nnx.split(model, Way, ...)
    rule = adam(3e-2)

    def learn(state, key):
        way, moments = state

        def square(way):
            return diffusion.schedule_loss(nnx.merge(graph, way, rest), x, key)

        (_, metrics), slope = jax.value_and_grad(square, has_aux=True)(way)
        update, moments = rule.update(slope, moments)
        return (jax.tree.map(jnp.add, way, update), moments), metrics

    keys = jax.random.split(jax.random.key(0), 400)
    (learned, _), metrics = jax.jit(lambda s, k: jax.lax.scan(learn, s, k))(
        (way, rule.init(way)), keys
    )
    found = way_of(nnx.merge(graph, learned, rest).noise)
    before = way_of(LearnedSchedule(LOW, HIGH))
    weight = 1 / (1 + np.exp(-best_way()))  # where there is nothing to gain the way is free
    assert np.average(np.abs(found - best_way()), weights=weight) < 0.25
    assert np.average(np.abs(before - best_way()), weights=weight) > 1.5
    assert metrics["spread"][-50:].mean() < 0.75 * metrics["spread"][:5].mean()
    np.testing.assert_allclose(found[[0, -1]], [HIGH, LOW], atol=1e-5)


def test_the_ends_follow_the_bound():
    """∂/∂λ_0 and ∂/∂λ_1 of the bound of normal data, within 4.5 standard errors.

    An element costs −½ λ_0 + ½ log(1 + v e^λ_0) − ½ log(1 + v e^λ_1) + KL(q(x_1) ‖ N(0, σ_1²)) and
    a constant.
    """
    model, x = model_of(LearnedSchedule(LOW, HIGH)), data(512)
    graph, params = nnx.split(model)

    def slope(key):
        found = jax.grad(lambda p: diffusion.schedule_loss(nnx.merge(graph, p), x, key)[0])(params)
        high, span = found["noise"]["high"][...], found["noise"]["log_span"][...]
        return jnp.stack([high, span / (HIGH - LOW)])  # by λ_0 at a fixed span, by the span

    each = np.asarray(jax.jit(lambda keys: jax.lax.map(slope, keys))(
        jax.random.split(jax.random.key(1), 400)))  # fmt: skip
    energy = float(jnp.mean(x**2))

    def cost(high, low):
        diffusion_part = 0.5 * (
            np.log1p(VARIANCE * np.exp(high)) - np.log1p(VARIANCE * np.exp(low))
        )
        return -0.5 * high + diffusion_part + 0.5 * energy * np.exp(low)

    step = 1e-4
    by_high = (cost(HIGH + step, LOW + step) - cost(HIGH - step, LOW - step)) / (2 * step)
    by_span = (cost(HIGH, LOW - step) - cost(HIGH, LOW + step)) / (2 * step)
    error = each.std(0, ddof=1) / np.sqrt(len(each))
    assert (error < 0.02).all()
    assert (np.abs(each.mean(0) - [by_high, by_span]) < 4.5 * error).all()


def test_the_value_is_the_whole_bound():
    """That of `continuous_terms` with other draws, within their noise."""
    model, x = model_of(LearnedSchedule(LOW, HIGH)), data(4000)
    value, metrics = jax.jit(diffusion.schedule_loss)(model, x, jax.random.key(2))
    bound = jax.jit(lambda x, key: diffusion.continuous_terms(model, x, key, n_times=1))
    each = -np.asarray(bound(x, jax.random.key(3)).elbo()) / 2
    assert abs(value - each.mean()) < 4.5 * np.sqrt(2 / 4000) * each.std()
    assert 0 < metrics["spread"] < 2 * each.std()


def test_a_schedule_that_is_not_learned_is_refused(best_model):
    with pytest.raises(ValueError, match="model"):
        diffusion.schedule_loss(best_model(d.cosine()), data(3), jax.random.key(0))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LearnedSchedule(1.0, 1.0), "low"),
        (lambda: LearnedSchedule(n_units=0), "n_units"),
    ],
)
def test_bad_sizes_are_refused(make, name):
    with pytest.raises(ValueError, match=name):
        make()
