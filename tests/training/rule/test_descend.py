# SPDX-License-Identifier: Apache-2.0
"""Laws of gradient descent as a rule."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml.training import accumulate, chain, descend, only


def key():
    """A fresh handle on the same key: the reuse checker follows handles, not bits."""
    return jax.random.key(0)


class Point(nnx.Module):
    """A vector that learns."""

    def __init__(self, x):
        self.x = nnx.Param(jnp.asarray(x))


class Normalized(nnx.Module):
    """A layer with running statistics and a frozen neighbour."""

    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, momentum=0.9, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.dense(x))


def quadratic(model, batch, key):
    del key
    x = model.x[...]
    return 0.5 * x @ batch @ x, {}


def variance(model, batch, key):
    del key
    return jnp.mean((model(batch) - 1.0) ** 2), {"first": batch[0, 0]}


def test_descent_on_a_quadratic_is_a_matrix_power(x64):
    """x_k = (I − ηA)^k x₀ for E = ½ xᵀAx under plain gradient descent."""
    a = np.array([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 0.5]])
    x0, rate, steps = np.array([1.0, -2.0, 3.0]), 0.1, 25
    rule = descend(quadratic, optax.sgd(rate))
    model = Point(x0)
    state = rule.init(model, key())
    update = jax.jit(rule.update)
    for _ in range(steps):
        x = np.asarray(model.x[...])
        norm, value = np.linalg.norm(a @ x), 0.5 * x @ a @ x
        model, state, metrics = update(model, state, jnp.asarray(a), key())
        np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-12)
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)
    expected = np.linalg.matrix_power(np.eye(3) - rate * a, steps) @ x0
    np.testing.assert_allclose(model.x[...], expected, rtol=1e-12)


def running_mean(model, batches):
    """What the statistics must be: m ← 0.9 m + 0.1 mean(Wx + b) with the weights held."""
    mean = np.zeros(2)
    for batch in batches:
        kernel, bias = (np.asarray(p) for p in (model.dense.kernel, model.dense.bias))
        mean = 0.9 * mean + 0.1 * (np.asarray(batch) @ kernel + bias).mean(axis=0)
    return mean


make = jax.jit(lambda key: Normalized(rngs=nnx.Rngs(key)))


@pytest.fixture
def normalized():
    return make(key())


@pytest.fixture
def frozen():
    """Statistics move, weights do not: the learning rate is 0."""
    return descend(variance, optax.sgd(0.0))


def test_running_statistics_arrive_under_jit(normalized, frozen):
    """What a loss changes in place is in the returned model, and not in the one passed in."""
    x = jax.random.normal(key(), (16, 3))
    state = frozen.init(normalized, key())
    model, _, _ = jax.jit(frozen.update)(normalized, state, x, key())
    np.testing.assert_allclose(model.norm.mean[...], running_mean(normalized, [x]), atol=1e-6)
    np.testing.assert_array_equal(normalized.norm.mean[...], np.zeros(2))


def test_running_statistics_arrive_under_scan(normalized, frozen):
    """Statistics accumulate over the steps of a scan in order."""
    xs = 3.0 + jax.random.normal(key(), (5, 16, 3))
    state = frozen.init(normalized, key())

    def step(carry, x):
        model, state, metrics = frozen.update(*carry, x, key())
        return (model, state), metrics["loss"]

    (model, _), _ = jax.jit(partial(jax.lax.scan, step))((normalized, state), xs)
    np.testing.assert_allclose(model.norm.mean[...], running_mean(normalized, xs), rtol=1e-5)


def test_running_statistics_arrive_under_vmap(frozen):
    """Each member of a vmapped model keeps its own statistics."""
    models = jax.jit(jax.vmap(make))(jax.random.split(key(), 3))
    xs = np.random.default_rng(0).normal(size=(3, 16, 3)) + np.arange(3.0)[:, None, None]
    xs = jnp.asarray(xs, jnp.float32)

    @jax.jit
    def step(models, xs):
        states = jax.vmap(frozen.init, (0, None))(models, key())
        return jax.vmap(frozen.update, (0, 0, 0, None))(models, states, xs, key())[0]

    means = np.asarray(step(models, xs).norm.mean[...])
    models = jax.tree.map(np.asarray, models)
    for i in range(3):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], models)
        np.testing.assert_allclose(
            means[i], running_mean(one, np.asarray(xs)[i : i + 1]), atol=1e-6
        )


def test_only_the_selected_parameters_move(normalized):
    """Everything outside `wrt` keeps its bits; its statistics still arrive."""
    rule = descend(variance, optax.adam(0.1), wrt=only("dense"))
    x = jax.random.normal(key(), (16, 3))
    model, _, _ = jax.jit(rule.update)(normalized, rule.init(normalized, key()), x, key())
    np.testing.assert_array_equal(model.norm.scale[...], normalized.norm.scale[...])
    moved = np.asarray(model.dense.kernel[...]) - np.asarray(normalized.dense.kernel[...])
    assert np.abs(moved).min() > 0
    assert np.abs(np.asarray(model.norm.mean[...])).min() > 0


def test_a_filter_that_selects_nothing_is_refused(normalized):
    """A misspelt name is an error, not a model that silently never learns."""
    with pytest.raises(ValueError, match="wrt selects no parameter of Normalized"):
        descend(variance, optax.sgd(0.1), wrt=only("critic")).init(normalized, key())


@pytest.mark.parametrize("n", [1, 2, 4])
def test_accumulation_is_the_gradient_of_the_whole_batch(n, x64):
    """For a mean over examples the microbatches' mean gradient is the batch's own."""
    x = jax.random.normal(key(), (8, 3))

    def loss(model, batch, key):
        del key
        value = jnp.mean(jnp.sin(batch @ model.x[...]) ** 2)
        return value, {"twice": 2 * value}

    model, rule = Point(np.array([0.3, -0.4, 0.5])), descend(loss, optax.adam(0.1))
    part = accumulate(rule, n)

    @jax.jit
    def both(model, x):
        return [one.update(model, one.init(model, key()), x, key()) for one in (rule, part)]

    (whole, _, expected), (pieces, _, metrics) = both(model, x)
    np.testing.assert_allclose(pieces.x[...], whole.x[...], rtol=1e-12)
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-12)


def test_accumulation_visits_the_microbatches_in_order_with_fresh_keys():
    """Statistics see the parts in turn, and part i draws from fold_in(key, i)."""
    model = make(key())
    x = jax.random.normal(key(), (8, 3))

    def loss(model, batch, key):
        return jnp.mean(model(batch) ** 2), {"draw": jax.random.uniform(key)}

    rule = accumulate(descend(loss, optax.sgd(0.0)), 2)
    new, _, metrics = jax.jit(rule.update)(model, rule.init(model, key()), x, key())
    parts = np.asarray(x).reshape(2, 4, 3)
    np.testing.assert_allclose(new.norm.mean[...], running_mean(model, parts), atol=1e-6)
    draws = [jax.random.uniform(jax.random.fold_in(key(), i)) for i in range(2)]
    np.testing.assert_allclose(metrics["draw"], np.mean(draws), rtol=1e-6)


def test_accumulate_says_what_it_needs(normalized):
    """Bad arguments are named where they are given."""
    rule = descend(variance, optax.sgd(0.1))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        accumulate(rule, 0)
    with pytest.raises(TypeError, match="must come from descend"):
        accumulate(chain(a=rule), 2)
    part = accumulate(rule, 3)
    with pytest.raises(ValueError, match="n=3 does not divide a batch of 8"):
        part.update(normalized, part.init(normalized, key()), jnp.ones((8, 3)), key())


def test_parameters_of_several_dtypes_share_one_norm():
    """‖∇‖ adds in float32, whatever the parameters are: 1000 + 24 squares are not 256."""

    class Mixed(nnx.Module):
        def __init__(self):
            self.wide = nnx.Param(jnp.zeros(24))
            self.narrow = nnx.Param(jnp.zeros(1000, jnp.bfloat16))

    def total(model, batch, key):
        return jnp.sum(model.wide[...]) + jnp.sum(model.narrow[...]).astype(jnp.float32), {}

    rule, model = descend(total, optax.sgd(0.5)), Mixed()
    state = rule.init(model, jax.random.key(0))
    model, _, metrics = jax.jit(rule.update)(model, state, jnp.zeros(1), jax.random.key(1))
    assert metrics["grad_norm"] == 32.0
    assert model.narrow[...].dtype == jnp.bfloat16
    np.testing.assert_array_equal(model.wide[...], -0.5)
