# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks against loops in NumPy, Flax's cells, and their own laws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxml.layers import (
    GRU,
    LSTM,
    RNN,
    LSTMState,
    bidirectional,
    gru,
    gru_cell,
    lstm,
    lstm_cell,
    rnn,
    rnn_cell,
)

sigmoid = scipy.special.expit


def rnn_step(p, h, x):
    h = np.tanh(x @ p.kernel + h @ p.recurrent + p.bias)
    return h, h


def lstm_step(p, state, x):
    """The six steps: forget, input, candidate, cell, output, hidden."""
    h, c = state

    def gate(k):
        n = h.shape[-1]
        here = slice(k * n, (k + 1) * n)
        return x @ p.kernel[:, here] + h @ p.recurrent[:, here] + p.bias[here]

    forget = sigmoid(gate(1))
    admit = sigmoid(gate(0))
    candidate = np.tanh(gate(2))
    c = forget * c + admit * candidate
    output = sigmoid(gate(3))
    h = output * np.tanh(c)
    return LSTMState(h, c), h


def gru_step(p, h, x, reset_after):
    n = h.shape[-1]
    w, u, b = (np.split(np.asarray(a), 3, -1) for a in p[:3])
    r = sigmoid(x @ w[0] + h @ u[0] + b[0])
    z = sigmoid(x @ w[1] + h @ u[1] + b[1])
    inner = r * (h @ u[2] + p.candidate_bias) if reset_after else (r * h) @ u[2] + p.candidate_bias
    candidate = np.tanh(x @ w[2] + b[2] + inner)
    assert candidate.shape[-1] == n
    h = (1 - z) * candidate + z * h
    return h, h


NETWORKS = {
    "rnn": (rnn, rnn_cell, RNN, rnn_step),
    "lstm": (lstm, lstm_cell, LSTM, lstm_step),
    "gru": (gru, gru_cell, GRU, partial(gru_step, reset_after=True)),
    "gru, reset before": (
        partial(gru, reset_after=False),
        partial(gru_cell, reset_after=False),
        GRU,
        partial(gru_step, reset_after=False),
    ),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    """The sequence function, its cell, its parameters and its step in NumPy."""
    return NETWORKS[request.param]


def by_loop(step, x, p, state, mask=None, reverse=False):
    """One example and one element after the other."""
    p = type(p)(*map(np.asarray, p))
    n, t, _ = x.shape
    outputs, states = np.zeros((n, t, len(p.recurrent))), []
    for b in range(n):
        s = jax.tree.map(lambda a, b=b: np.asarray(a)[b], state)
        for i in reversed(range(t)) if reverse else range(t):
            if mask is None or mask[b, i]:
                s, outputs[b, i] = step(p, s, np.asarray(x)[b, i])
        states.append(s)
    return jax.tree.map(lambda *a: np.stack(a), *states), outputs


@pytest.mark.parametrize("reverse", [False, True])
def test_is_the_loop(x64, network, reverse, some):
    """States and outputs of the loop in NumPy, forwards and backwards, to 1e-12."""
    function, cell, kind, step = network
    x, p, state = some.draw((2, 5, 3)), some.parameters(kind), some.start(kind)
    got, once = jax.jit(
        lambda x, p, state: (function(x, p, state, reverse=reverse), cell(p, state, x[:, 0]))
    )(x, p, state)
    some.assert_close(got, by_loop(step, x, p, state, reverse=reverse), atol=1e-12)
    some.assert_close(once, by_loop(step, np.asarray(x)[:, :1], p, state)[0], atol=1e-12)


def test_state_starts_at_zero_and_carries_over(x64, network, some):
    """No state is a state of zeros; a sequence in two parts is the whole, T = 1 included."""
    function, _, kind, _ = network

    @jax.jit
    def everything(x, p, zeros):
        middle, first = function(x[:, :1], p)
        end, second = function(x[:, 1:], p, middle)
        return function(x, p), function(x, p, zeros), (end, jnp.concatenate([first, second], 1))

    zeros = jax.tree.map(np.zeros_like, some.start(kind))
    whole, from_zeros, in_parts = everything(some.draw((2, 5, 3)), some.parameters(kind), zeros)
    some.assert_close(from_zeros, whole, atol=1e-14)
    some.assert_close(in_parts, whole, atol=1e-13)


@pytest.mark.parametrize("reverse", [False, True])
def test_ragged_sequences(x64, network, reverse, some):
    """Masked elements change no state, give 0, and are not read; each row is its short sequence."""
    function, _, kind, step = network
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    x, p, state = some.draw((3, 5, 3)), some.parameters(kind), some.start(kind, 3)
    f = jax.jit(partial(function, reverse=reverse))
    got = f(x, p, state, mask=jnp.asarray(mask))
    some.assert_close(got, by_loop(step, x, p, state, mask, reverse), atol=1e-12)
    other = np.asarray(x) + 9.0 * ~mask[..., None]
    some.assert_close(f(jnp.asarray(other), p, state, mask=jnp.asarray(mask)), got, atol=0)

    @jax.jit
    def short_and_gradient(x, p, state, mask):
        def loss(x):
            return jnp.sum(jnp.sin(function(x, p, state, mask=mask)[1]))

        first = jax.tree.map(lambda a: a[:1], state)
        return function(x[:1, :3], p, first, reverse=reverse), jax.grad(loss)(x)

    (last, y), gradient = short_and_gradient(x, p, state, jnp.asarray(mask))
    got = jax.tree.map(np.asarray, got)
    some.assert_close(got[1][:1, :3], y, atol=1e-13)
    some.assert_close(jax.tree.map(lambda a: a[:1], got[0]), last, atol=1e-13)
    np.testing.assert_array_equal(np.asarray(gradient)[~mask], 0)


def test_several_batch_axes_are_as_one(x64, network, some):
    """x `*batch T d` and its mask `*batch T`: two axes or their product."""
    function, _, kind, _ = network
    mask = jnp.asarray(np.tri(6, 5, dtype=bool))
    x, p, state = some.draw((6, 5, 3)), some.parameters(kind), some.start(kind, 6)

    def split(tree):
        return jax.tree.map(lambda a: a.reshape(2, 3, *a.shape[1:]), tree)

    one, two = jax.jit(
        lambda x, state, mask: (
            function(x, p, state, mask=mask),
            function(split(x), p, split(state), mask=split(mask)),
        )
    )(x, state, mask)
    some.assert_close(two, split(one), atol=1e-13)


def test_transformations(x64, network, some):
    """Under vmap (against a loop) and checkpoint, value and gradient are the same."""
    function, _, kind, _ = network
    many = some.draw((2, 2, 4, 3))
    p = some.parameters(kind)

    def f(x):
        return jnp.sum(jnp.sin(function(x, p)[1]))

    both = jax.value_and_grad(f)

    @jax.jit
    def every_way(many):
        return (
            jax.vmap(both)(many),
            jax.vmap(jax.value_and_grad(jax.checkpoint(f)))(many),
            both(many),  # a batch of two axes
        )

    one = jax.jit(both)
    loop = jax.tree.map(lambda *a: np.stack(a), *[one(x) for x in many])
    *others, whole = every_way(many)
    for got in others:
        some.assert_close(got, loop, rtol=1e-10, atol=1e-12)
    some.assert_close(whole, (loop[0].sum(), loop[1]), rtol=1e-10, atol=1e-12)


def test_bidirectional(x64, network, some):
    """[→y, ←y] with two sets of parameters; turning the data round exchanges the halves."""
    function, _, kind, _ = network
    x, mask = some.draw((2, 5, 3)), jnp.asarray([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
    p, r = some.parameters(kind), some.parameters(kind, seed=20)

    def direct(q):
        return lambda x, **options: function(x, q, **options)

    @jax.jit
    def everything(x, mask):
        return (
            bidirectional(direct(p), direct(r))(x, mask=mask),
            function(x, p, mask=mask),
            function(x, r, mask=mask, reverse=True),
            bidirectional(direct(r), direct(p))(x[:, ::-1], mask=mask[:, ::-1])[1],
        )

    (states, y), there, back, turned = everything(x, mask)
    some.assert_close((states, y), ((there[0], back[0]), np.concatenate([there[1], back[1]], -1)))
    exchanged = np.roll(np.asarray(turned)[:, ::-1], 4, -1)
    np.testing.assert_allclose(exchanged, y, atol=1e-13)
    deep = bidirectional(direct(some.parameters(kind, 8)), direct(some.parameters(kind, 8)))
    assert jax.eval_shape(deep, y)[1].shape == (2, 5, 8)


def test_bfloat16(network, some):
    """Half precision in and out, near single precision over a short sequence."""
    function, _, kind, _ = network
    x = some.draw((2, 4, 3), dtype=jnp.bfloat16)
    p = some.parameters(kind, dtype=jnp.bfloat16)
    f = jax.jit(function)
    state, y = f(x, p)
    assert {a.dtype for a in jax.tree.leaves((state, y))} == {jnp.dtype(jnp.bfloat16)}
    wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float32)), (x, p))
    np.testing.assert_allclose(np.asarray(y, np.float32), f(*wide)[1], atol=0.06)


def test_one_product_with_the_input(network, some):
    """The input meets its kernel in one product for the whole sequence, outside of the loop."""
    function, _, kind, _ = network
    x = some.draw((2, 64, 3), dtype=np.float32)
    p = some.parameters(kind, dtype=np.float32)
    text = jax.jit(function).lower(x, p).as_text()
    assert text.count("tensor<128x3xf32>, tensor<3x") == 1
    assert "tensor<2x3xf32>" not in text


def test_indices_are_one_hot_vectors(x64, network, some):
    """Tokens read rows of the kernel: states, outputs and gradients of the one-hot sequence."""
    function, cell, kind, _ = network
    tokens = jnp.asarray([[0, 2, 2, 1], [4, 0, 3, 2]])
    p, state = some.parameters(kind, 5), some.start(kind)
    dense = jnp.asarray(np.eye(5)[tokens])

    @jax.jit
    def everything(x):
        def loss(p):
            state_and_y = function(x, p, state)
            return jnp.sum(jnp.sin(state_and_y[1])), state_and_y

        return jax.value_and_grad(loss, has_aux=True)(p), cell(p, state, x[:, 0])

    some.assert_close(everything(tokens), everything(dense), atol=1e-13)
