# SPDX-License-Identifier: Apache-2.0
"""The definition of convolution as a loop over all that meets; cases of recurrent networks."""

import itertools
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import GRU, LSTM, RNN, LSTMState
from jaxml.layers.convolution_geometry import Geometry


def _meetings(geometry: Geometry):
    """All (input position j, tap k, window i) with j = stride i + dilation k - low."""
    windows = itertools.product(*map(range, geometry.output))
    for i, k in itertools.product(windows, list(itertools.product(*map(range, geometry.kernel)))):
        j = tuple(
            s * a + d * b - low
            for s, a, d, b, (low, _) in zip(
                geometry.stride, i, geometry.dilation, k, geometry.padding, strict=True
            )
        )
        if all(0 <= a < n for a, n in zip(j, geometry.input, strict=True)):
            yield j, k, i


def _split(array, groups):
    return np.asarray(array, np.float64).reshape(*array.shape[:-1], groups, -1)


def output(x, kernel, geometry):
    """y[n, i] = sum_k x[n, j] K[k]."""
    x, kernel = _split(x, geometry.groups), _split(kernel, geometry.groups)
    y = np.zeros((len(x), *geometry.output, geometry.groups, kernel.shape[-1]))
    for j, k, i in _meetings(geometry):
        y[:, *i] += np.einsum("ngi,igo->ngo", x[:, *j], kernel[k])
    return y.reshape(*y.shape[:-2], -1)


def input_(y, kernel, geometry):
    """x[n, j] = sum over the (k, i) that meet j of K[k] y[n, i]."""
    y, kernel = _split(y, geometry.groups), _split(kernel, geometry.groups)
    x = np.zeros((len(y), *geometry.input, geometry.groups, kernel.shape[-3]))
    for j, k, i in _meetings(geometry):
        x[:, *j] += np.einsum("ngo,igo->ngi", y[:, *i], kernel[k])
    return x.reshape(*x.shape[:-2], -1)


def kernel_(x, y, geometry):
    """K[k] = sum over n and the (j, i) that meet k of x[n, j] y[n, i]."""
    x, y = _split(x, geometry.groups), _split(y, geometry.groups)
    kernel = np.zeros((*geometry.kernel, x.shape[-1], geometry.groups, y.shape[-1]))
    for j, k, i in _meetings(geometry):
        kernel[k] += np.einsum("ngi,ngo->igo", x[:, *j], y[:, *i])
    return kernel.reshape(*kernel.shape[:-2], -1)


def _case(size, window, stride=1, padding=0, dilation=1, groups=1):
    def each(option):
        return option if isinstance(option, tuple) else (option,) * len(size)

    pairs = tuple(p if isinstance(p, tuple) else (p, p) for p in each(padding))
    return Geometry(size, window, each(stride), pairs, each(dilation), groups)


GEOMETRIES = {
    "1x1": _case((4, 3), (1, 1)),
    "1x1 stride 2": _case((6, 5), (1, 1), 2),
    "2x2 one-sided": _case((5, 4), (2, 2), padding=((0, 1), (1, 0))),
    "3x3": _case((6, 5), (3, 3), padding=1),
    "3x3 stride 2, even and odd": _case((6, 7), (3, 3), 2, 1),
    "4x4 stride 2": _case((8, 6), (4, 4), 2, 1),
    "4x4 stride 2, unread rest": _case((9, 7), (4, 4), 2, 0),
    "5x3 stride 2, groups": _case((8, 7), (5, 3), 2, (2, 1), groups=2),
    "3x3 stride 3, uneven": _case((8, 9), (3, 3), 3, ((0, 2), (2, 1))),
    "2x2 stride 3": _case((7, 8), (2, 2), 3),
    "4x5 stride 3, wide padding": _case((5, 6), (4, 5), 3, 4),
    "3x3 dilation 2, groups": _case((7, 6), (3, 3), padding=2, dilation=2, groups=2),
    "3x3 stride 2, dilation 2": _case((8, 7), (3, 3), 2, 2, 2),
    "3x2 stride 2x1, dilation 1x2": _case((7, 6), (3, 2), (2, 1), ((1, 0), (0, 2)), (1, 2)),
    "7x1": _case((6, 4), (7, 1), padding=(3, 0)),
    "one window": _case((3, 4), (3, 4)),
    "cropped": _case((7, 8), (3, 3), 2, ((-1, 2), (1, -2))),
    "1-D causal, dilation 2": _case((9,), (3,), padding=((4, 0),), dilation=2),
    "1-D stride 4": _case((16,), (4,), 4),
    "3-D stride 2": _case((4, 5, 3), (2, 3, 2), 2, 1),
}


@pytest.fixture(params=GEOMETRIES)
def geometry(request):
    """Every shape of convolution that the tests know, or those a test asks for by name."""
    return GEOMETRIES[request.param]


@pytest.fixture
def definition():
    """The three contractions of the loop, by the name of what they return."""
    return {"output": output, "input": input_, "kernel": kernel_}


@pytest.fixture
def operands():
    """Random `x, K, y` that fit a geometry: 2 input and 3 output channels a group."""

    def draw(geometry, channels=2, features=3, dtype=np.float64, seed=0):
        rng = np.random.default_rng(seed)
        groups = geometry.groups
        shapes = {
            "input": (2, *geometry.input, groups * channels),
            "kernel": (*geometry.kernel, channels, groups * features),
            "output": (2, *geometry.output, groups * features),
        }
        return {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in shapes.items()}

    return draw


def _draw(shape, seed=0, dtype: Any = np.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _parameters(kind, i=3, h=4, seed=0, dtype: Any = np.float64):
    gates = {RNN: 1, LSTM: 4, GRU: 3}[kind]
    shapes = [(i, gates * h), (h, gates * h), (gates * h,), (h,)][: len(kind._fields)]
    return kind(*(_draw(shape, seed + n, dtype) for n, shape in enumerate(shapes)))


def _start(kind, n=2, h=4, seed=9, dtype: Any = np.float64):
    state = _draw((n, h), seed, dtype)
    return LSTMState(state, _draw((n, h), seed + 1, dtype)) if kind is LSTM else state


def _assert_close(got, truth, **tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.fixture
def some():
    """Arrays, parameters and states of recurrent networks, and how two trees are compared."""
    return SimpleNamespace(
        draw=_draw, parameters=_parameters, start=_start, assert_close=_assert_close
    )
