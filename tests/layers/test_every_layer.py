# SPDX-License-Identifier: Apache-2.0
"""What holds for every layer: under every transformation, and for its derivatives to second order.

A layer is added by one line in `CASES`; the last test finds those that were forgotten.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import layers
from jaxml.layers import activation, embedding, padding, pooling, upsampling

IMAGE, SEQUENCE, HEADS = (2, 6, 5, 4), (2, 5, 3), (2, 5, 4, 6)
N_EXAMPLES = 3


class Case(NamedTuple):
    """A function of real arrays of these shapes, and whether it has a slope everywhere."""

    layer: Callable
    shapes: tuple
    smooth: bool = True


def recurrent(run, kind):
    """A recurrence as a function of its sequence, its start and its parameters."""
    count = len(kind._fields)
    gates = {layers.RNN: 1, layers.LSTM: 4, layers.GRU: 3}[kind]
    shapes = [(3, gates * 4), (4, gates * 4), (gates * 4,), (4,)][:count]
    states = [(2, 4)] * (2 if kind is layers.LSTM else 1)

    def layer(x, *rest):
        parameters, state = kind(*rest[:count]), rest[count:]
        start = layers.LSTMState(*state) if kind is layers.LSTM else state[0]
        return run(x, parameters, start)

    return layer, shapes + states


def of_sequence(run, kind):
    layer, shapes = recurrent(run, kind)
    return Case(layer, (SEQUENCE, *shapes))


def of_step(cell, kind):
    layer, shapes = recurrent(lambda x, p, state: cell(p, state, x), kind)
    return Case(layer, ((2, 3), *shapes))


def masked(run):
    """The second of two sequences ends after three symbols."""
    keep = np.arange(5) < np.array([[5], [3]])
    return lambda x, p, state: run(x, p, state, mask=jnp.asarray(keep))


def both_ways(x, parameters, state):
    one = partial(layers.gru, parameters=parameters, state=state)
    return layers.bidirectional(one, one)(x)


def cached(k, v):
    old = layers.empty_cache((2,), 7, 4, 6, dtype=k.dtype)
    return layers.extend_cache(layers.extend_cache(old, k[:, :2], v[:, :2]), k[:, 2:], v[:, 2:])[:2]


def unit(x):
    return x / jnp.linalg.norm(x)


def positive(x):
    return jax.nn.softplus(x)


SIDES = ((1, 2), (2, 1))
FLAX = ("NHWC", "HWIO", "NHWC")
CHANNELS = (IMAGE, (4,), (4,))
STATISTICS = (IMAGE, (4,), (4,), (4,), (4,))
CASES = {
    "activation.sigmoid": Case(activation.sigmoid, (IMAGE,)),
    "activation.tanh": Case(activation.tanh, (IMAGE,)),
    "activation.relu": Case(activation.relu, (IMAGE,), smooth=False),
    "activation.leaky_relu": Case(activation.leaky_relu, (IMAGE,), smooth=False),
    "activation.swish": Case(lambda x: activation.swish(x, beta=1.7), (IMAGE,)),
    "activation.silu": Case(activation.silu, (IMAGE,)),
    "activation.gelu": Case(activation.gelu, (IMAGE,)),
    "activation.gelu_by_tanh": Case(activation.gelu_by_tanh, (IMAGE,)),
    "activation.softmax": Case(lambda x: activation.softmax(x, axis=1, temperature=0.7), (IMAGE,)),
    "attention": Case(layers.attention, (HEADS, HEADS, HEADS)),
    "attention, causal": Case(
        lambda q, k, v: layers.attention(q, k, v, causal=True, window=3), (HEADS,) * 3
    ),
    "attention, grouped": Case(
        lambda q, k, v: layers.attention(q, k[..., :2, :], v[..., :2, :]), (HEADS,) * 3
    ),
    "extend_cache": Case(cached, (HEADS, HEADS)),
    "batch_norm": Case(
        lambda x, m, v, a, b: layers.batch_norm(x, m, positive(v), a, b).y, STATISTICS
    ),
    "batch_norm_evaluation": Case(
        lambda x, m, v, a, b: layers.batch_norm_evaluation(x, m, positive(v), a, b), STATISTICS
    ),
    "group_norm": Case(lambda *a: layers.group_norm(*a, groups=2), CHANNELS),
    "instance_norm": Case(layers.instance_norm, CHANNELS),
    "layer_norm": Case(layers.layer_norm, CHANNELS),
    "rms_norm": Case(layers.rms_norm, CHANNELS[:2]),
    "weight_norm": Case(layers.weight_norm, ((3, 3, 4, 5), (5,))),
    # Without a step: in the power iteration u and v are constants under differentiation.
    "spectral_norm": Case(
        lambda w, u, v: layers.spectral_norm(w, unit(u), unit(v), n_steps=0).kernel / 10,
        ((3, 3, 4, 5), (5,), (36,)),
    ),
    "spectral_bound": Case(layers.spectral_bound, ((4, 6),)),
    "convolution": Case(
        lambda x, k: layers.convolution(x, k, stride=2, padding=1), (IMAGE, (3, 3, 4, 6))
    ),
    "convolution, groups": Case(
        lambda x, k: layers.convolution(x, k, padding=2, dilation=2, groups=2, flip_kernel=True),
        (IMAGE, (3, 3, 2, 6)),
    ),
    "convolution, depthwise": Case(
        lambda x, k: layers.convolution(x, k, padding=1, groups=4), (IMAGE, (3, 3, 1, 4))
    ),
    "transposed_convolution": Case(
        lambda x, k: layers.transposed_convolution(x, k, stride=2, padding=1, output_padding=1),
        (IMAGE, (4, 4, 6, 4)),
    ),
    "conv_general_dilated": Case(
        lambda x, k: layers.conv_general_dilated(x, k, (1, 2), "SAME", dimension_numbers=FLAX),
        (IMAGE, (3, 3, 4, 6)),
    ),
    "dropout": Case(lambda x: layers.dropout(x, jax.random.key(0), 0.4), (IMAGE,)),
    "embedding.lookup": Case(
        lambda table: embedding.lookup(table, jnp.array([[0, 2], [2, 4]])), ((5, 3),)
    ),
    "embedding.sinusoidal": Case(lambda t: embedding.sinusoidal(t, 6, longest=9.0), ((4,),)),
    "embedding.fourier": Case(embedding.fourier, ((4, 2), (2, 3))),
    "rotary": Case(lambda x: layers.rotary(x, jnp.arange(5)), (HEADS,)),
    "padding.reflect": Case(lambda x: padding.reflect(x, SIDES), (IMAGE,)),
    "padding.symmetric": Case(lambda x: padding.symmetric(x, SIDES), (IMAGE,)),
    "padding.edge": Case(lambda x: padding.edge(x, SIDES), (IMAGE,)),
    "padding.circular": Case(lambda x: padding.circular(x, SIDES), (IMAGE,)),
    "pooling.max_pool": Case(lambda x: pooling.max_pool(x, 2, stride=1), (IMAGE,), smooth=False),
    "pooling.average_pool": Case(lambda x: pooling.average_pool(x, 3, padding=1), (IMAGE,)),
    "pooling.global_average": Case(pooling.global_average, (IMAGE,)),
    "pooling.global_max": Case(pooling.global_max, (IMAGE,), smooth=False),
    "upsampling.upsample_nearest": Case(lambda x: upsampling.upsample_nearest(x, 2), (IMAGE,)),
    "upsampling.upsample_bilinear": Case(
        lambda x: upsampling.upsample_bilinear(x, (2, 3)), (IMAGE,)
    ),
    "upsampling.pixel_shuffle": Case(lambda x: upsampling.pixel_shuffle(x, 2), (IMAGE,)),
    "upsampling.pixel_unshuffle": Case(
        lambda x: upsampling.pixel_unshuffle(x[:, :, :4], 2), (IMAGE,)
    ),
    "patches": Case(lambda x: layers.patches(x, (3, 2), stride=2), (IMAGE,)),
    "kernel_matrix": Case(lambda k: layers.kernel_matrix(k, (4, 5)), ((2, 3, 2, 3),)),
    "quadratic_features": Case(layers.quadratic_features, (SEQUENCE,)),
    "rnn": of_sequence(layers.rnn, layers.RNN),
    "lstm": of_sequence(layers.lstm, layers.LSTM),
    "lstm, masked": of_sequence(masked(layers.lstm), layers.LSTM),
    "gru": of_sequence(layers.gru, layers.GRU),
    "bidirectional": of_sequence(both_ways, layers.GRU),
    "rnn_cell": of_step(layers.rnn_cell, layers.RNN),
    "lstm_cell": of_step(layers.lstm_cell, layers.LSTM),
    "gru_cell": of_step(layers.gru_cell, layers.GRU),
}


def draw(dtype, *lead):
    """Arguments of every layer."""
    rng = np.random.default_rng(0)
    return {
        name: [jnp.asarray(rng.normal(size=(*lead, *shape)), dtype) for shape in case.shapes]
        for name, case in CASES.items()
    }


def every(inputs):
    """Each layer of its own arguments."""
    return {name: CASES[name].layer(*args) for name, args in inputs.items()}


def weighted(outputs):
    """A number of all outputs whose slopes by them all differ."""
    leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(outputs)]
    return sum(jnp.vdot(leaf, jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype))) for leaf in leaves)


def values(run, inputs):
    return run(inputs)


def values_and_slopes(run, inputs):
    return run(inputs), jax.grad(lambda x: weighted(run(x)))(inputs)


def parts(result):
    """Values alone, or values and slopes: each by the names of the layers."""
    return result if isinstance(result, tuple) else (result,)


def assert_close(got, truth, tol):
    for name, expected in truth.items():
        for one, other in zip(jax.tree.leaves(got[name]), jax.tree.leaves(expected), strict=True):
            assert one.dtype == other.dtype, name
            np.testing.assert_allclose(one, other, rtol=tol, atol=tol, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tol"), [("f8", 1e-12), ("f4", 1e-5)])
def test_layers_are_the_same_without_jit(dtype, tol, x64):
    """Operation by operation: values and slopes."""
    inputs = draw(dtype)
    truth, slopes = jax.jit(partial(values_and_slopes, every))(inputs)
    assert_close(every(inputs), truth, tol)
    for name, args in inputs.items():
        by = jax.grad(lambda a, name=name: weighted(every({name: a})))(args)
        assert_close({name: by}, {name: slopes[name]}, tol)


@pytest.mark.parametrize(
    ("f", "dtype", "tol"),
    [
        (values, "f4", 1e-5),
        pytest.param(values_and_slopes, "f4", 1e-5, marks=pytest.mark.slow),
        pytest.param(values_and_slopes, "f8", 1e-12, marks=pytest.mark.slow),
    ],
)
def test_layers_are_the_same_under_every_transformation(f, dtype, tol, x64):
    """Of three sets of arguments: one after another, under vmap, with checkpoint inside scan."""
    inputs = draw(dtype, N_EXAMPLES)

    def scanned(inputs):
        return jax.lax.scan(lambda c, x: (c, f(jax.checkpoint(every), x)), 0, inputs)[1]

    one = jax.jit(partial(f, every))
    examples = [one(jax.tree.map(lambda x, i=i: x[i], inputs)) for i in range(N_EXAMPLES)]
    truth = jax.tree.map(lambda *leaves: jnp.stack(leaves), *examples)
    for leaf in jax.tree.leaves(truth):
        assert leaf.dtype == dtype
    for transformed in (jax.vmap(partial(f, every)), scanned):
        got = jax.jit(transformed)(inputs)
        for part, expected in zip(parts(got), parts(truth), strict=True):
            assert_close(part, expected, tol)


@pytest.mark.slow
def test_derivatives_of_layers_match_differences_to_second_order(x64):
    """Forward, reverse and forward over reverse, along one direction of all arguments."""
    inputs = draw("f8")
    rng = np.random.default_rng(1)
    direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), inputs)

    @jax.jit
    def along(step):
        moved = jax.tree.map(lambda x, v: x + step * v, inputs, direction)
        return jax.jvp(partial(values_and_slopes, every), (moved,), (direction,))

    step = 1e-5
    (_, slopes), (forward, second) = jax.tree.map(np.asarray, along(0.0))
    ends = [jax.tree.map(np.asarray, along(s)[0]) for s in (-step, step)]
    first, of_slopes = jax.tree.map(lambda low, high: (high - low) / (2 * step), *ends)
    for name, case in CASES.items():
        assert_close({name: forward[name]}, {name: first[name]}, 1e-6)
        total = sum(
            float(np.vdot(a, b)) for a, b in zip(slopes[name], direction[name], strict=True)
        )
        np.testing.assert_allclose(total, float(weighted(first[name])), rtol=1e-6, atol=1e-6)
        if case.smooth:
            assert_close({name: second[name]}, {name: of_slopes[name]}, 1e-6)


def test_every_public_layer_is_here():
    """The rest are constants of a shape (masks), sizes, and what they are made of."""
    modules = {"activation": activation, "embedding": embedding, "padding": padding,
               "pooling": pooling, "upsampling": upsampling}  # fmt: skip
    names = {
        f"{prefix}.{name}"
        for prefix, module in modules.items()
        for name, part in inspect.getmembers(module, inspect.isfunction)
        if part.__module__ == module.__name__ and not name.startswith("_")
    }
    names |= {name for name in layers.__all__ if inspect.isfunction(getattr(layers, name))}
    without_derivatives = {"causal", "same", "valid", "convolution_size", "empty_cache",
                           "transposed_convolution_size"}  # fmt: skip
    assert names - without_derivatives == {name.split(",")[0] for name in CASES}
