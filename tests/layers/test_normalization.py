# SPDX-License-Identifier: Apache-2.0
"""Group, instance, layer and RMS normalization against their definitions, Flax and scipy."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx
from jax.test_util import check_grads

from jaxml.layers import group_norm, instance_norm, layer_norm, rms_norm


def by_loop(x, groups, eps):
    """Every example and group of channels by itself: subtract the mean, divide by the deviation."""
    x = np.asarray(x, np.float64)
    y = np.empty_like(x)
    for i in range(len(x)):
        for channels in np.split(np.arange(x.shape[-1]), groups):
            part = x[i][..., channels]
            y[i][..., channels] = (part - np.mean(part)) / np.sqrt(np.var(part) + eps)
    return y


def by_row(x, eps):
    x = np.asarray(x, np.float64)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


def by_root_mean_square(x, eps):
    x = np.asarray(x, np.float64)
    return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + eps)


NORMS = {
    "one group": (partial(group_norm, groups=1), partial(by_loop, groups=1, eps=1e-5)),
    "two groups": (partial(group_norm, groups=2, eps=0.1), partial(by_loop, groups=2, eps=0.1)),
    "instance": (instance_norm, partial(by_loop, groups=6, eps=1e-5)),
    "layer": (layer_norm, partial(by_row, eps=1e-5)),
    "rms": (rms_norm, partial(by_root_mean_square, eps=1e-6)),
}
SIZES = {"vectors": (), "series": (7,), "images": (4, 5), "volumes": (2, 3, 4)}


def draw(size, channels=6, n=3, dtype: Any = np.float64, mean=0.5):
    rng = np.random.default_rng(0)
    return jnp.asarray(mean + rng.normal(size=(n, *size, channels)), dtype)


@pytest.fixture(params=NORMS)
def norm(request):
    """The function and its definition in NumPy, by name."""
    return NORMS[request.param]


def parameters(norm, channels=6, dtype: Any = np.float64):
    """Scale and bias, for those that take a bias."""
    scale, bias = np.linspace(0.5, 2, channels), np.linspace(-1, 1, channels)
    return [jnp.asarray(a, dtype) for a in ((scale,) if norm is rms_norm else (scale, bias))]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_is_the_definition(x64, norm, size):
    """Value equal to the loop of NumPy to 1e-12, without and with scale and bias."""
    function, definition = norm
    x = draw(size)
    given = parameters(function)
    truth = definition(x)
    bare, full = jax.jit(lambda x: (function(x), function(x, *given)))(x)
    np.testing.assert_allclose(bare, truth, atol=1e-12)
    expected = truth * np.asarray(given[0]) + (np.asarray(given[1]) if len(given) > 1 else 0)
    np.testing.assert_allclose(full, expected, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1e4, -1e4])
def test_a_large_mean_does_not_cancel(norm, mean):
    """Mean 1e4 and deviation 1 in single precision: normalized to 2e-6 of the exact answer."""
    function, definition = norm
    x = draw((16, 16), n=2, dtype=np.float32, mean=mean)
    np.testing.assert_allclose(jax.jit(function)(x), definition(x), atol=2e-6)


def test_an_outlier_where_the_shift_is_read(norm):
    """The worst place for an outlier costs a bounded number of roundings, not the result."""
    function, definition = norm
    x = np.array(draw((16, 16), n=2, dtype=np.float32, mean=0.0))
    x[:, 8, :, 3] += 1e4
    y = jax.jit(function)(jnp.asarray(x))
    np.testing.assert_allclose(y, definition(x), rtol=1e-5, atol=1e-5)


def plain(name, x):
    """The norms in their textbook form, for JAX to differentiate."""
    if name == "rms":
        return x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6)
    if name == "layer":
        axes, parts = (-1,), x
    else:
        groups = {"one group": 1, "two groups": 2, "instance": x.shape[-1]}[name]
        parts = x.reshape(*x.shape[:-1], groups, -1)
        axes = (*range(1, x.ndim - 1), x.ndim)
    centered = parts - parts.mean(axes, keepdims=True)
    variance = jnp.mean(centered**2, axes, keepdims=True)
    return (centered / jnp.sqrt(variance + (0.1 if name == "two groups" else 1e-5))).reshape(
        x.shape
    )


@pytest.mark.parametrize("name", NORMS)
def test_derivatives(x64, name):
    """First and second derivatives of every mode equal those of the textbook form to 1e-10."""
    function, _ = NORMS[name]
    x = draw((2, 3), n=2)
    given = parameters(function)

    def textbook(x, *given):
        y = plain(name, x) * given[0].reshape(1, 1, 1, -1)
        return y + given[1].reshape(1, 1, 1, -1) if len(given) > 1 else y

    @jax.jit
    def derivatives(x, *given):
        primal, tangent = (x, *given), tuple(jnp.cos(5 * a) for a in (x, *given))

        def results(function):
            def f(*primal):
                return jnp.sum(jnp.sin(function(*primal)))

            gradient = jax.grad(f, range(len(primal)))

            def penalty(*primal):
                return sum(jnp.sum(jnp.sin(g)) for g in gradient(*primal))

            return {
                "forward": jax.jvp(function, primal, tangent),
                "forward over reverse": jax.jvp(gradient, primal, tangent),
                "reverse over reverse": jax.grad(penalty, range(len(primal)))(*primal),
            }

        return results(function), results(textbook)

    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-9), *derivatives(x, *given)
    )


# Two orders are thirteen compilations; test_derivatives has both orders too.
@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_finite_differences(x64, order):
    """Group normalization in both modes and to second order, in data, scale and bias."""
    function = partial(group_norm, groups=1, eps=0.1)
    given = (draw((2,), channels=2, n=1), *parameters(function, channels=2))
    check_grads(jax.jit(function), given, order=order, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("function", "peer"),
    [
        (
            partial(group_norm, groups=2, eps=1e-6),
            lambda: nnx.GroupNorm(6, 2, use_fast_variance=False, rngs=nnx.Rngs(0)),
        ),
        (
            partial(instance_norm, eps=1e-6),
            lambda: nnx.InstanceNorm(6, use_fast_variance=False, rngs=nnx.Rngs(0)),
        ),
        (
            partial(layer_norm, eps=1e-6),
            lambda: nnx.LayerNorm(6, use_fast_variance=False, rngs=nnx.Rngs(0)),
        ),
        (rms_norm, lambda: nnx.RMSNorm(6, rngs=nnx.Rngs(0))),
    ],
    ids=["group", "instance", "layer", "rms"],
)
def test_flax(function, peer):
    """Value and input gradient of Flax's modules, in single precision."""
    x = draw((4, 5), dtype=np.float32)
    module = peer()

    def both(f):
        return jax.jit(jax.value_and_grad(lambda x: jnp.sum(jnp.sin(3 * f(x)))))(x)

    for ours, theirs in zip(both(function), both(module), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_scipy(x64):
    """Without ε a layer-normalized row is `scipy.stats.zscore`."""
    x = draw((4,))
    truth = np.asarray(scipy.stats.zscore(np.asarray(x), -1))
    np.testing.assert_allclose(jax.jit(partial(layer_norm, eps=0.0))(x), truth, atol=1e-12)


def test_invariance(x64):
    """Without ε: x and c x + d normalize alike; RMS normalization ignores c alone."""
    x = np.asarray(draw((4, 5)))
    for function in (partial(group_norm, groups=3), instance_norm, layer_norm):
        f = jax.jit(partial(function, eps=0.0))
        np.testing.assert_allclose(f(7 * x - 3), f(x), atol=1e-12)
        np.testing.assert_allclose(f(-x), -np.asarray(f(x)), atol=1e-12)
    f = jax.jit(partial(rms_norm, eps=0.0))
    np.testing.assert_allclose(f(7 * x), f(x), atol=1e-12)


def test_transformations(x64, norm):
    """Under vmap (against a loop), scan and checkpoint, value and gradient are the same."""
    function, _ = norm
    many = np.stack([draw((3,), mean=m) for m in (0.0, 1.0, 5.0)])
    given = parameters(function)

    def f(x):
        return jnp.sum(jnp.sin(function(x, *given)))

    both = jax.value_and_grad(f)

    @jax.jit
    def every_way(many):
        return (
            jax.vmap(both)(many),
            jax.vmap(jax.value_and_grad(jax.checkpoint(f)))(many),
            jax.lax.scan(lambda _, x: (None, both(x)), None, many)[1],
        )

    one = jax.jit(both)
    loop = jax.tree.map(lambda *a: np.stack(a), *[one(x) for x in many])
    for got in every_way(many):
        for a, b in zip(got, loop, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


def test_bfloat16(norm):
    """Half precision in and out, single precision between: one rounding of the exact answer."""
    function, definition = norm
    x = draw((8, 8), dtype=jnp.bfloat16, mean=20.0)
    given = parameters(function, dtype=jnp.bfloat16)

    @jax.jit
    def both(x):
        y, pull = jax.vjp(lambda x: function(x, *given), x)
        return y, pull(jnp.cos(y))[0]

    y, gradient = both(x)
    assert y.dtype == gradient.dtype == jnp.bfloat16
    wide = [np.asarray(a, np.float64) for a in given]
    truth = definition(np.asarray(x, np.float32)) * wide[0] + (wide[1] if len(wide) > 1 else 0)
    np.testing.assert_allclose(np.asarray(y, np.float32), truth, rtol=2**-8, atol=1e-5)
    assert np.all(np.isfinite(np.asarray(gradient, np.float32)))


def test_constant_data(norm):
    """Data without variance: the output is 0 (RMS: ±1 or 0), two derivatives are finite."""
    function, definition = norm

    @jax.jit
    def everything(x):
        def f(x):
            return jnp.sum(jnp.sin(function(x)) * jnp.cos(jnp.arange(18.0).reshape(x.shape)))

        return function(x), jax.grad(f)(x), jax.hessian(f)(x)

    for value in (0.0, 0.1, -3.7e4):
        x = jnp.full((1, 3, 1, 6), value)
        y, *derivatives = everything(x)
        np.testing.assert_allclose(y, definition(np.full(x.shape, value)), atol=1e-6)
        assert all(np.all(np.isfinite(d)) for d in derivatives)


def test_one_channel(x64):
    """A single channel: layer normalization leaves the bias alone, a group is the image."""
    x = draw((4, 5), channels=1)
    bias = jnp.asarray([0.3])
    by_layer, by_instance = jax.jit(lambda x: (layer_norm(x, None, bias), instance_norm(x)))(x)
    np.testing.assert_allclose(by_layer, 0.3, atol=1e-12)
    np.testing.assert_allclose(by_instance, by_loop(x, 1, 1e-5), atol=1e-12)


def test_nan_stays_in_its_example():
    """A NaN in one example comes out as NaN, and touches no other example."""
    x = np.array(draw((4,), dtype=np.float32))
    x[1, 2, 3] = np.nan
    y = np.asarray(jax.jit(partial(group_norm, groups=1))(x))
    assert np.all(np.isnan(y[1]))
    assert np.all(np.isfinite(y[[0, 2]]))


@pytest.mark.parametrize("groups", [0, 4, -1])
def test_bad_groups_are_named(groups):
    """Groups that do not divide the channels say so."""
    with pytest.raises(ValueError, match="divide the 6 channels"):
        group_norm(jnp.ones((1, 6)), groups=groups)
