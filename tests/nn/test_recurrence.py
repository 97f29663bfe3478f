# SPDX-License-Identifier: Apache-2.0
"""Laws of recurrent modules."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import expit

from jaxml.layers import GRU, LSTM, RNN, LSTMState, gru
from jaxml.nn.recurrence import Recurrent, RecurrentLayer

KINDS = [LSTM, GRU, RNN]
MASK = np.array([[1, 1, 1, 0], [0, 1, 0, 1]], bool)


def step(kind, p, state, x):
    """One element of one sequence in NumPy; a state is a tuple that starts with h."""
    h, n = state[0], len(state[0])
    a, b = x @ p["kernel"] + p["bias"], h @ p["recurrent"]
    if kind is RNN:
        return (np.tanh(a + b),)
    if kind is LSTM:
        i, f, g, o = np.split(a + b, 4)
        c = expit(f) * state[1] + expit(i) * np.tanh(g)
        return expit(o) * np.tanh(c), c
    r, z = np.split(expit(a + b)[: 2 * n], 2)
    candidate = np.tanh(a[2 * n :] + r * (b[2 * n :] + p["candidate_bias"]))
    return ((1 - z) * candidate + z * h,)


def by_loop(layer, x, state, mask):
    """States and outputs of a layer, one sequence and one element after the other."""
    p = {name: np.asarray(getattr(layer, name)[...]) for name in layer.kind._fields}
    outputs, last = np.zeros((*x.shape[:2], layer.width)), []
    for n in range(len(x)):
        s = tuple(np.asarray(a)[n] for a in jax.tree.leaves(state))
        for t in reversed(range(x.shape[1])) if layer.reverse else range(x.shape[1]):
            if mask[n, t]:
                s = step(layer.kind, p, s, x[n, t])
                outputs[n, t] = s[0]
        last.append(s)
    return [np.stack(a) for a in zip(*last, strict=True)], outputs


def wide(tree):
    """In double precision, with biases that are not 0."""
    return jax.tree.map(
        lambda a: jnp.asarray(np.random.default_rng(a.size).normal(size=a.shape) / 2), tree
    )


def build(*args, **options):
    """A network with NumPy's weights: nothing is compiled for it."""
    return wide(jax.eval_shape(lambda: Recurrent(*args, **options, rngs=nnx.Rngs(0))))


def start(net, n):
    """A state for every layer and direction."""
    layers = [layer for ways in net.layers for layer in ways]
    zero = [np.zeros((n, layer.width)) for layer in layers]
    return wide(
        tuple((layer.kind is LSTM and (z, z)) or z for layer, z in zip(layers, zero, strict=True))
    )


def as_states(net, state):
    """Pairs as the LSTM's states."""
    return tuple(LSTMState(*s) if isinstance(s, tuple) else s for s in state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("both", "mask"), [(False, None), (True, MASK)])
def test_is_the_loop(x64, kind, both, mask):
    """Two layers, whole, or ragged in both directions: states and outputs of NumPy to 1e-12."""
    net = build(kind, 3, (5, 4), bidirectional=both)
    x, state = np.random.default_rng(1).normal(size=(2, 4, 3)), as_states(net, start(net, 2))
    got, y = jax.jit(
        lambda net: net(jnp.asarray(x), state, mask=None if mask is None else jnp.asarray(mask))
    )(net)
    seen, states, left = np.ones((2, 4), bool) if mask is None else mask, [], iter(state)
    for ways in net.layers:
        found = [by_loop(layer, x, next(left), seen) for layer in ways]
        states += [array for last, _ in found for array in last]
        x = np.concatenate([outputs for _, outputs in found], -1)
    np.testing.assert_allclose(y, x, atol=1e-12)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-12), jax.tree.leaves(got), states)
    again, rest = jax.eval_shape(net.__call__, x[..., :3], got)
    assert jax.tree.structure(again) == jax.tree.structure(got)
    assert rest.shape == y.shape


@pytest.mark.parametrize(
    ("kind", "n_tokens"), [(LSTM, 3), pytest.param(GRU, 3, marks=pytest.mark.slow), (RNN, 50)]
)
def test_embedding(x64, kind, n_tokens):
    """A table with fewer or more rows than the sequence: outputs and gradients of its rows."""
    net = build(kind, 3, (4,), bidirectional=True)
    one_hot = build(kind, n_tokens, (4,))
    table = jnp.asarray(np.random.default_rng(2).normal(size=(n_tokens, 3)))
    tokens = jnp.asarray(np.random.default_rng(3).integers(n_tokens, size=(2, 4)))

    def value(net, table, looked_up):
        _, y = net(table[tokens]) if looked_up else net(tokens, table=table)
        return jnp.sum(jnp.sin(y))

    @jax.jit
    def everything(net, table, one_hot):
        both = jax.value_and_grad(value, (0, 1))
        vectors = jax.nn.one_hot(tokens, n_tokens)
        rows = both(net, table, True), both(net, table, False)
        return rows, (one_hot(tokens)[1], one_hot(vectors)[1])

    rows, outputs = everything(net, table, one_hot)
    for a, b in zip(*map(jax.tree.leaves, rows), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(*outputs, atol=1e-13)


def test_initialization():
    """Orthogonal blocks of U, Glorot's bound for blocks of W, biases 0 but for the forget gate."""

    @jax.jit
    def layers():
        first = RecurrentLayer(LSTM, 40, 60, forget_bias=2.0, rngs=nnx.Rngs(0))
        others = [RecurrentLayer(kind, 2, 3, rngs=nnx.Rngs(0)) for kind in (GRU, RNN)]
        return first, [other.bias[...] for other in others]

    layer, biases = layers()
    for block in np.split(np.asarray(layer.recurrent[...]), 4, -1):
        np.testing.assert_allclose(block.T @ block, np.eye(60), atol=1e-5)
    kernel = np.asarray(layer.kernel[...])
    assert 0.98 * np.sqrt(6 / 100) < np.abs(kernel).max() <= np.sqrt(6 / 100)
    np.testing.assert_allclose(kernel.var(), 2 / 100, rtol=0.05)
    np.testing.assert_array_equal(layer.bias[...], np.repeat([0, 2, 0, 0], 60))
    for bias in biases:
        np.testing.assert_array_equal(bias, 0)


def test_dropout(x64):
    """Without a key none; with one, only between layers, at the given rate and with the mean."""
    net = build(RNN, 3, (6, 6), dropout=0.25)
    single = build(RNN, 3, (6,), dropout=0.9)
    x = jnp.asarray(np.random.default_rng(4).normal(size=(2, 4, 3)))

    @jax.jit
    def everything(net, single, x):
        _, first = net.layers[0][0](x)
        key = jax.random.key(7)
        kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.75, first.shape)
        expected = net.layers[1][0](jnp.where(kept, first / 0.75, 0))[1]
        alone = single(x, key=jax.random.key(8))[1], single(x)[1]
        return expected, net(x, key=key)[1], net(x)[1], alone

    expected, dropped, whole, alone = everything(net, single, x)
    np.testing.assert_allclose(dropped, expected, atol=1e-13)
    assert np.max(np.abs(np.asarray(whole) - expected)) > 1e-3
    np.testing.assert_array_equal(*alone)


def test_is_a_plain_pytree():
    """jit, vmap over members, grad and scan take the module as it is."""
    net = build(LSTM, 3, (4,))
    members = jax.tree.map(lambda a: jnp.asarray(np.stack([a / 2, a])), net)
    x = jnp.asarray(np.random.default_rng(5).normal(size=(2, 4, 3)), jnp.float32)

    def gradient(net):
        return jax.grad(lambda net: jnp.mean(jnp.square(net(x)[1])))(net)

    @jax.jit
    def every_way(members, net):
        in_turn = jax.lax.scan(lambda _, n: (None, gradient(n)), None, members)[1]
        return jax.vmap(gradient)(members), in_turn, gradient(net)

    for a, b, c in zip(*map(jax.tree.leaves, every_way(members, net)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(np.asarray(a)[1], c, rtol=1e-4, atol=1e-6)
        assert np.any(np.asarray(c))


def test_options_of_the_function():
    """The GRU with the reset before the product is the same module with another function."""
    before = partial(gru, reset_after=False)
    layer = wide(
        jax.eval_shape(lambda: RecurrentLayer(GRU, 3, 4, function=before, rngs=nnx.Rngs(0)))
    )

    @jax.jit
    def both(x):
        parameters = GRU(*(getattr(layer, name)[...] for name in GRU._fields))
        return layer(x)[1], before(x, parameters)[1]

    np.testing.assert_allclose(*both(np.ones((2, 3, 3), np.float32)), rtol=1e-6)


def test_computation_dtype_leaves_parameters_in_float32():
    """dtype=bfloat16: bfloat16 states and outputs, float32 parameters and gradients."""

    def everything(x):
        net = Recurrent(LSTM, 3, (4, 4), dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
        gradient = jax.grad(lambda net: jnp.sum(net(x)[1].astype(jnp.float32)))(net)
        return net, net(x), gradient

    net, result, gradient = jax.eval_shape(everything, np.ones((2, 5, 3), np.float32))
    assert {a.dtype for a in jax.tree.leaves(result)} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves((net, gradient))} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("widths: expected positive sizes, got \\(\\)", lambda r: Recurrent(LSTM, 3, (), rngs=r)),
        ("widths: expected positive", lambda r: Recurrent(LSTM, 3, (4, 0), rngs=r)),
        ("n_in: expected a positive", lambda r: Recurrent(GRU, 0, (4,), rngs=r)),
        ("width: expected a positive", lambda r: RecurrentLayer(RNN, 2, 0, rngs=r)),
        ("dropout: expected", lambda r: Recurrent(LSTM, 3, (4,), dropout=1.0, rngs=r)),
        ("x: expected 3", lambda r: Recurrent(LSTM, 3, (4,), rngs=r)(jnp.ones((2, 4, 5)))),
        ("state: expected 2", lambda r: Recurrent(RNN, 3, (4, 4), rngs=r)(jnp.ones((2, 4, 3)), ())),
    ],
)
def test_what_does_not_fit_is_named(message, make):
    """Errors name the argument and what was expected."""
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: make(nnx.Rngs(0)))
