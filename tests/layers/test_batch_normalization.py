# SPDX-License-Identifier: Apache-2.0
"""Batch normalization against NumPy, Flax and the recursion of its running statistics."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from jaxml.layers import batch_norm, batch_norm_evaluation

SIZES = {"vectors": (), "series": (7,), "images": (4, 5), "volumes": (2, 3, 4)}


def draw(size, channels=3, n=5, dtype: Any = np.float64, mean=0.5):
    rng = np.random.default_rng(0)
    return jnp.asarray(mean + rng.normal(size=(n, *size, channels)), dtype)


def start(channels=3, dtype: Any = np.float64):
    """The running statistics that every network begins with."""
    return jnp.zeros(channels, dtype), jnp.ones(channels, dtype)


def parameters(channels=3, dtype: Any = np.float64):
    return (
        jnp.asarray(np.linspace(0.5, 2, channels), dtype),
        jnp.asarray(np.linspace(-1, 1, channels), dtype),
    )


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_is_the_definition(x64, size):
    """Mean and deviation over everything but channels, to 1e-12, and so the evaluation form."""
    x = draw(size)
    scale, bias = parameters()
    rows = np.asarray(x).reshape(-1, 3)
    truth = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 0.1) * np.asarray(scale)
    truth += np.asarray(bias)
    y, *_ = jax.jit(partial(batch_norm, eps=0.1))(x, *start(), scale, bias)
    np.testing.assert_allclose(y, truth.reshape(x.shape), atol=1e-12)
    known = jnp.asarray(rows.mean(0)), jnp.asarray(rows.var(0))
    y = jax.jit(partial(batch_norm_evaluation, eps=0.1))(x, *known, scale, bias)
    np.testing.assert_allclose(y, truth.reshape(x.shape), atol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_running_statistics(x64, ddof):
    """After k batches they are the geometrically weighted sums of NumPy's mean and variance."""
    batches = jnp.stack([draw((2, 3)) * (1 + k) - k for k in range(4)])

    @jax.jit
    def run(batches):
        def step(statistics, x):
            _, *statistics = batch_norm(x, *statistics, decay=0.7, ddof=ddof)
            return tuple(statistics), None

        return jax.lax.scan(step, start(), batches)[0]

    mean, variance = run(batches)
    rows = np.asarray(batches).reshape(4, -1, 3)
    weights = 0.3 * 0.7 ** np.arange(3, -1, -1)
    np.testing.assert_allclose(mean, weights @ rows.mean(1), rtol=1e-12)
    truth = 0.7**4 + weights @ rows.var(1, ddof=ddof)
    np.testing.assert_allclose(variance, truth, rtol=1e-12)


def test_it_is_the_variance_that_is_remembered(x64):
    """Constant batches of deviation 3 lead the statistic to 9, and evaluation to training."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 3))
    x = jnp.asarray(3 * (x - x.mean(0)) / x.std(0) + 5)

    @jax.jit
    def everything(x):
        _, mean, variance = batch_norm(x, *start(), decay=0.0, ddof=0)
        both = batch_norm_evaluation(x, mean, variance), batch_norm(x, *start()).y
        return mean, variance, both

    mean, variance, both = everything(x)
    np.testing.assert_allclose(variance, 9, rtol=1e-12)
    np.testing.assert_allclose(mean, 5, rtol=1e-12)
    np.testing.assert_allclose(*both, atol=1e-12)


def test_flax():
    """Flax's module with its own conventions: decay 0.99 and the biased variance."""
    x = draw((4, 5), dtype=np.float32)
    module = nnx.BatchNorm(3, momentum=0.99, rngs=nnx.Rngs(0))

    def ours(x):
        return batch_norm(x, *start(dtype=np.float32), decay=0.99, ddof=0)

    def both(f):
        return jax.value_and_grad(lambda x: jnp.sum(jnp.sin(3 * f(x))))(x)

    graph, state = nnx.split(module)

    @jax.jit
    def everything(x):
        theirs = both(lambda x: nnx.merge(graph, state, copy=True)(x))
        after = nnx.merge(graph, state, copy=True)
        after(x)
        statistics = ours(x)[1:], (after.mean[...], after.var[...])
        return (both(lambda x: ours(x).y), theirs), statistics

    derivatives, ((mean, variance), (their_mean, their_variance)) = everything(x)
    for a, b in zip(*derivatives, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean, their_mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(variance, their_variance, rtol=1e-5)


@pytest.mark.parametrize("mean", [0.0, 1e4, -1e4])
def test_a_large_mean_does_not_cancel(mean):
    """Mean 1e4 and deviation 1 in single precision: output to 2e-6, variance to 1e-6."""
    x = draw((8, 8), n=16, dtype=np.float32, mean=mean)
    rows = np.asarray(x, np.float64).reshape(-1, 3)
    y, running, variance = jax.jit(partial(batch_norm, decay=0.0, ddof=0))(x, *start(3, np.float32))
    truth = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
    np.testing.assert_allclose(y, truth.reshape(x.shape), atol=2e-6)
    np.testing.assert_allclose(variance, rows.var(0), rtol=1e-6)
    np.testing.assert_allclose(running, rows.mean(0), rtol=1e-6, atol=1e-7)


def test_an_image_of_outliers_where_the_shift_is_read():
    """The worst image to be far from all others costs 32 times the rounding of a sum, not more."""
    x = np.array(draw((4, 4), n=32, dtype=np.float32))
    x[16] += 1e4
    rows = np.asarray(x, np.float64).reshape(-1, 3)
    _, _, variance = batch_norm(jnp.asarray(x), *start(3, np.float32), decay=0.0, ddof=0)
    # One image in 32 is averaged into the shift; a sum of 512 terms is good to 16 roundings.
    np.testing.assert_allclose(variance, rows.var(0), rtol=32 * 16 * 2**-23)


def test_derivatives(x64):
    """Both modes and two orders in data, scale and bias; none through the running statistics."""
    x = draw((2,), n=3, channels=2)

    def f(x, *given):
        return batch_norm(x, *start(2), *given, eps=0.1).y

    check_grads(jax.jit(f), (x, *parameters(2)), order=2, rtol=1e-7, atol=1e-7)
    through = jax.jit(jax.grad(lambda x: sum(jnp.sum(s) for s in batch_norm(x, *start(2))[1:])))(x)
    np.testing.assert_array_equal(through, 0)


def test_axis_name(x64):
    """A batch in parts along a mapped axis is normalized as a whole, in value and gradient."""
    x = draw((2, 3), n=6)
    parts = x.reshape(2, 3, 2, 3, 3)

    def whole(x):
        result = batch_norm(x, *start())
        return jnp.sum(jnp.sin(result.y)), result

    def split(parts):
        result = jax.vmap(
            lambda part: batch_norm(part, *start(), axis_name="part"), axis_name="part"
        )(parts)
        return jnp.sum(jnp.sin(result.y)), result

    there, one = jax.jit(jax.grad(whole, has_aux=True))(x)
    here, many = jax.jit(jax.grad(split, has_aux=True))(parts)
    np.testing.assert_allclose(here.reshape(x.shape), there, atol=1e-12)
    np.testing.assert_allclose(many.y.reshape(x.shape), one.y, atol=1e-12)
    for statistics, statistic in zip(many[1:], one[1:], strict=True):
        np.testing.assert_allclose(statistics, np.broadcast_to(statistic, (2, 3)), atol=1e-12)


def test_transformations(x64):
    """Under vmap (against a loop) and checkpoint, value and gradient are the same."""
    many = np.stack([draw((3,), mean=m) for m in (0.0, 5.0)])

    def f(x):
        y, *statistics = batch_norm(x, *start(), *parameters())
        return jnp.sum(jnp.sin(y)), statistics

    both = jax.value_and_grad(f, has_aux=True)

    @jax.jit
    def every_way(many):
        return (
            jax.tree.map(lambda *a: jnp.stack(a), *[both(x) for x in many]),
            jax.vmap(both)(many),
            jax.vmap(jax.value_and_grad(jax.checkpoint(f), has_aux=True))(many),
        )

    loop, *others = every_way(many)
    for got in others:
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-11), got, loop)


def test_bfloat16():
    """Half precision in and out; statistics stay in single precision."""
    x = draw((8, 8), dtype=jnp.bfloat16, mean=20.0)
    y, mean, variance = batch_norm(x, *start(3, np.float32), *parameters(3, jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert mean.dtype == variance.dtype == jnp.float32
    wide = batch_norm(x.astype(jnp.float32), *start(3, np.float32), *parameters(3, np.float32))
    np.testing.assert_allclose(y.astype(jnp.float32), wide.y, rtol=2**-8, atol=1e-5)
    np.testing.assert_allclose(variance, wide.variance, rtol=1e-6)
    known = batch_norm_evaluation(x, mean, variance)
    assert known.dtype == jnp.bfloat16


def test_constant_data():
    """A batch without variance: the output is the bias, derivatives are finite."""
    x = jnp.full((4, 2, 3), 0.1)

    def f(x):
        return batch_norm(x, *start(3, np.float32), *parameters(3, np.float32)).y

    y, gradient, hessian = jax.jit(
        lambda x: (
            f(x),
            jax.grad(lambda x: jnp.sum(jnp.sin(f(x))))(x),
            jax.hessian(lambda x: jnp.sum(jnp.sin(f(x))))(x),
        )
    )(x)
    np.testing.assert_allclose(y, np.broadcast_to(np.linspace(-1, 1, 3), x.shape), atol=1e-6)
    assert jnp.all(jnp.isfinite(gradient))
    assert jnp.all(jnp.isfinite(hessian))


def test_too_few_values_are_refused():
    """One value has no unbiased variance; a biased one it has."""
    with pytest.raises(ValueError, match="1 values a channel; ddof = 1"):
        batch_norm(jnp.ones((1, 3)), *start(3, np.float32))
    assert batch_norm(jnp.ones((1, 3)), *start(3, np.float32), ddof=0).y.shape == (1, 3)
