# SPDX-License-Identifier: Apache-2.0
"""Pooling against loops over windows, and the laws of shared weights."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxml.layers import convolution, padding, pooling, same

X = np.random.default_rng(0).normal(size=(2, 7, 6, 3))


def by_window(x, window, stride, sides, reduction):
    """Every window by itself; what lies outside is NaN and left out by the reduction."""
    padded = np.pad(x, [(0, 0), *sides, (0, 0)], constant_values=np.nan)
    new = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:-1], window, stride, strict=True)]
    y = np.zeros((len(x), *new, x.shape[-1]))
    for i in itertools.product(*map(range, new)):
        cut = tuple(slice(a * s, a * s + k) for a, s, k in zip(i, stride, window, strict=True))
        y[(slice(None), *i)] = reduction(padded[(slice(None), *cut)], axis=(1, 2))
    return y


CASES = [((2, 2), None, 0), ((3, 2), (2, 1), ((1, 1), (0, 1))), ((3, 3), (2, 2), same)]


@pytest.mark.parametrize(("window", "stride", "pad"), CASES)
def test_windows_give_their_largest_value_and_their_mean(window, stride, pad, x64):
    """max, mean over what is there, and mean over the whole window, by definition."""
    steps = stride or window
    sides = {0: ((0, 0), (0, 0)), same: ((1, 1), (0, 1))}.get(pad, pad)
    x, options = jnp.asarray(X), {"stride": stride, "padding": pad}
    largest, mean, of_whole = jax.jit(
        lambda x: (
            pooling.max_pool(x, window, **options),
            pooling.average_pool(x, window, **options),
            pooling.average_pool(x, window, count_padding=True, **options),
        )
    )(x)
    np.testing.assert_array_equal(largest, by_window(X, window, steps, sides, np.nanmax))
    expected = by_window(X, window, steps, sides, np.nanmean)
    np.testing.assert_allclose(mean, expected, rtol=1e-12)
    expected = by_window(X, window, steps, sides, np.nansum) / np.prod(window)
    np.testing.assert_allclose(of_whole, expected, rtol=1e-12)


def test_pooling_is_differentiable_in_every_mode(x64):
    """First and second derivatives, forward and reverse, in a loop too."""
    x = jnp.asarray(X[:1])
    check_grads(jax.jit(lambda x: pooling.average_pool(x, 3, stride=2) ** 2), (x,), order=2)
    check_grads(jax.jit(lambda x: pooling.max_pool(x, (3, 2)) ** 2), (x,), order=1)

    def total(x):
        return jnp.sum(jnp.square(pooling.max_pool(x, 2)))

    looped = jax.jit(lambda x: jax.lax.scan(lambda c, _: (c, jax.grad(total)(c)), x, None, 2)[1])
    single = jax.jit(jax.grad(total))
    np.testing.assert_allclose(np.asarray(looped(x))[1], single(x), rtol=1e-12)


def test_ties_share_their_gradient():
    """A constant window gives each of its elements an equal part."""
    slope = jax.grad(lambda x: pooling.max_pool(x, 2).sum())(jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_allclose(slope.sum(), 1.0)
    assert (slope > 0).all()


def test_global_pooling_is_over_all_positions():
    x = jnp.float32(X)
    np.testing.assert_allclose(pooling.global_average(x), X.mean((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(pooling.global_max(x), X.max((1, 2)).astype(np.float32))


@pytest.mark.parametrize("shift", [(1, 0), (2, 3)])
def test_a_shift_of_the_input_is_a_shift_of_the_output(shift, x64):
    """Circular padding, stride 1: convolution and pooling commute with every translation."""
    x, kernel = jnp.asarray(X), jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 3, 4)))

    @jax.jit
    def network(x):
        h = convolution(padding.circular(x, ((1, 1), (1, 1))), kernel)
        return pooling.max_pool(padding.circular(h, ((0, 1), (0, 1))), 2, stride=1)

    moved = network(np.roll(x, shift, (1, 2)))
    np.testing.assert_allclose(moved, np.roll(network(x), shift, (1, 2)), rtol=1e-12)


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"window \(8, 8\) does not fit"):
        pooling.max_pool(jnp.zeros((1, 7, 9, 1)), 8)
    with pytest.raises(ValueError, match="window must be"):
        pooling.average_pool(jnp.zeros((1, 7, 9, 1)), (2, 2, 2))
