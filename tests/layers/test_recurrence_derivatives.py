# SPDX-License-Identifier: Apache-2.0
"""The rule by which LSTM and GRU are differentiated, against autodiff of the printed formulas."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxml.layers import GRU, LSTM, RNN, LSTMState, gru, gru_cell, lstm, lstm_cell, rnn


def plain(kind, x, p, state, mask, reverse):
    """The formulas as printed, an element after the other; autodiff does the rest."""

    def lstm_plain(state, x):
        i, f, g, o = jnp.split(x @ p.kernel + state.h @ p.recurrent + p.bias[None], 4, -1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return LSTMState(jax.nn.sigmoid(o) * jnp.tanh(c), c)

    def gru_plain(h, x):
        w, u = jnp.split(x @ p.kernel + p.bias[None], 3, -1), jnp.split(h @ p.recurrent, 3, -1)
        r, z = (jax.nn.sigmoid(a + b) for a, b in zip(w[:2], u[:2], strict=True))
        return (1 - z) * jnp.tanh(w[2] + r * (u[2] + p.candidate_bias[None])) + z * h

    step, outputs = lstm_plain if kind is LSTM else gru_plain, {}
    for t in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
        here, new = mask[:, t, None], step(state, x[:, t])
        state = jax.tree.map(lambda a, b, here=here: jnp.where(here, a, b), new, state)
        outputs[t] = jnp.where(here, jax.tree.leaves(new)[0], 0)
    return state, jnp.stack([outputs[t] for t in range(x.shape[1])], 1)


MASK = np.array([[1, 1, 1], [0, 1, 0]], bool)


@pytest.mark.parametrize(
    ("function", "kind", "reverse"),
    [
        (lstm, LSTM, False),
        pytest.param(lstm, LSTM, True, marks=pytest.mark.slow),
        pytest.param(gru, GRU, True, marks=pytest.mark.slow),
    ],
)
def test_derivatives_are_those_of_the_plain_loop(x64, function, kind, reverse, some):
    """Value, reverse, forward, forward over reverse, reverse over both, with gaps, to 1e-12."""
    args = some.draw((2, 3, 3)), some.parameters(kind), some.start(kind)
    ahead = jax.tree.map(lambda a: some.draw(a.shape, 50), args)
    mask = jnp.asarray(MASK)

    def every_order(f):
        def value(args):
            state, y = f(*args)
            return sum(jnp.sum(jnp.sin(a)) for a in jax.tree.leaves((state, y)))

        def along(g):
            return lambda args: jax.jvp(g, (args,), (ahead,))[1]

        def flat(g):
            return lambda args: sum(jnp.sum(jnp.cos(a)) for a in jax.tree.leaves(g(args)))

        gradient = jax.grad(value)
        twice = jax.grad(flat(gradient)), jax.grad(along(value)), along(gradient)
        return [g(args) for g in (f_of(f), gradient, along(f_of(f)), *twice)]

    def f_of(f):
        return lambda args: f(*args)

    ours = partial(function, mask=mask, reverse=reverse)
    theirs = partial(plain, kind, mask=mask, reverse=reverse)
    # One of the two under checkpoint, which must change nothing.
    ours = jax.checkpoint(ours) if reverse else ours
    truth = jax.jit(lambda: every_order(theirs))()
    some.assert_close(jax.jit(lambda: every_order(ours))(), truth, rtol=1e-11, atol=1e-12)


# Two orders of differences are thirteen compilations; the test above has both orders too.
@pytest.mark.parametrize(
    ("function", "kind", "order"),
    [
        (rnn, RNN, 1),
        (lstm, LSTM, 1),
        (gru, GRU, 1),
        (partial(gru, reset_after=False), GRU, 1),
        pytest.param(lstm, LSTM, 2, marks=pytest.mark.slow),
        pytest.param(gru, GRU, 2, marks=pytest.mark.slow),
    ],
    ids=["rnn", "lstm", "gru", "gru, reset before", "lstm twice", "gru twice"],
)
def test_derivatives_are_difference_quotients(x64, function, kind, order, some):
    """Both modes in data, parameters and state, by differences; twice where a rule is ours."""
    x, p, state = (
        some.draw((1, 2, 2)),
        some.parameters(kind, 2, 2),
        some.start(kind, 1, 2),
    )
    check_grads(jax.jit(function), (x, p, state), order=order, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("function", "kind"), [(lstm, LSTM), (gru, GRU)])
def test_derivatives_within_transformations(x64, function, kind, some):
    """Gradients under vmap over parameters and data, and inside of a scan, are those of a loop."""
    x = some.draw((2, 2, 3, 3))
    p = jax.tree.map(
        lambda a, b: jnp.asarray(np.stack([a, b])),
        some.parameters(kind),
        some.parameters(kind, seed=30),
    )

    def gradient(x, p):
        return jax.grad(lambda p: jnp.sum(jnp.sin(function(x, p, mask=jnp.asarray(MASK))[1])))(p)

    @jax.jit
    def together(x, p):
        in_turn = jax.lax.scan(lambda _, given: (None, gradient(*given)), None, (x, p))[1]
        return jax.vmap(gradient)(x, p), in_turn

    single = jax.jit(gradient)
    one_by_one = [single(x[i], jax.tree.map(lambda a, i=i: a[i], p)) for i in range(2)]
    truth = jax.tree.map(lambda *a: np.stack(a), *one_by_one)
    for got in together(x, p):
        some.assert_close(got, truth, rtol=1e-11, atol=1e-12)


def loops(jaxpr):
    """All scans, at any depth."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from loops(inner)


@pytest.mark.parametrize(("function", "kind"), [(lstm, LSTM), (gru, GRU)])
def test_kernel_gradient_is_one_product_behind_the_loop(function, kind, some):
    """No loop of the backward pass adds to an array of the kernel's shape."""
    x, p = some.draw((2, 5, 3), dtype=np.float32), some.parameters(kind, dtype=np.float32)

    def in_loops(f):
        found = loops(jax.make_jaxpr(jax.grad(lambda p: jnp.sum(f(p))))(p).jaxpr)
        return [[v.aval.shape for v in equation.outvars] for equation in found]

    ours = in_loops(lambda p: function(x, p)[1])
    assert len(ours) == 2
    assert not any(p.recurrent.shape in shapes for shapes in ours)
    by_cell = {LSTM: lstm_cell, GRU: gru_cell}[kind]

    def by_autodiff(p):
        def step(state, x):
            return (state := by_cell(p, state, x)), jax.tree.leaves(state)[0]

        return jax.lax.scan(step, some.start(kind, dtype=np.float32), x.swapaxes(0, 1))[1]

    assert any(p.recurrent.shape in shapes for shapes in in_loops(by_autodiff))


@pytest.mark.parametrize(("function", "kind"), [(lstm, LSTM), (gru, GRU)])
def test_bfloat16_gradients(function, kind, some):
    """Half-precision gradients come in half precision, near those of single precision."""
    x, p = (
        some.draw((2, 4, 3), dtype=jnp.bfloat16),
        some.parameters(kind, dtype=jnp.bfloat16),
    )

    @jax.jit
    def gradient(x, p):
        def loss(x, p):
            return jnp.sum(jnp.sin(function(x, p)[1].astype(jnp.float32)))

        return jax.grad(loss, (0, 1))(x, p)

    got = gradient(x, p)
    truth = gradient(*jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float32)), (x, p)))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(truth), strict=True):
        assert a.dtype == jnp.bfloat16
        scale = np.max(np.abs(b))
        np.testing.assert_allclose(np.asarray(a, np.float32), b, atol=0.05 * scale)
