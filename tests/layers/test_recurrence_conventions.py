# SPDX-License-Identifier: Apache-2.0
"""What gates are called, in which order they lie, and when they act: Flax's cells and limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.layers import GRU, LSTM, RNN, LSTMState, gru, gru_cell, lstm, lstm_cell, rnn


@pytest.mark.parametrize(
    ("cell", "kind", "function"),
    [
        (nnx.OptimizedLSTMCell, LSTM, lstm),
        (nnx.GRUCell, GRU, gru),
        (nnx.SimpleCell, RNN, rnn),
    ],
)
def test_flax(cell, kind, function, some):
    """Flax's cells with the same parameters, value and gradient, in single precision."""
    x = some.draw((2, 5, 3), dtype=np.float32)
    p = some.parameters(kind, dtype=np.float32)
    if kind is GRU:  # Flax has no second bias
        p = p._replace(candidate_bias=jnp.zeros(4))

    def theirs(x):
        module = cell(3, 4, rngs=nnx.Rngs(0))
        module.dense_i.kernel[...], module.dense_h.kernel[...] = p.kernel, p.recurrent
        (module.dense_i if module.dense_h.bias is None else module.dense_h).bias[...] = p.bias
        carry, outputs = module.initialize_carry((2, 3), nnx.Rngs(0)), []
        for i in range(5):
            carry, y = module(carry, x[:, i])
            outputs.append(y)
        return jnp.stack(outputs, 1)

    def both(f):
        return jax.value_and_grad(lambda x: jnp.sum(jnp.sin(3 * f(x))))

    got, truth = jax.jit(lambda x: (both(lambda x: function(x, p)[1])(x), both(theirs)(x)))(x)
    some.assert_close(got, truth, rtol=2e-5, atol=2e-5)


def test_gate_order_and_forgetting(x64, some):
    """A forget gate open and the others shut keeps the cell; shut and open, it is rewritten."""
    zero = LSTM(jnp.zeros((3, 4)), jnp.zeros((1, 4)), jnp.zeros(4))
    state, x = LSTMState(jnp.asarray([[0.1]]), jnp.asarray([[0.7]])), some.draw((1, 3))
    keep = zero._replace(bias=jnp.asarray([-50.0, 50.0, 50.0, 50.0]))
    np.testing.assert_allclose(lstm_cell(keep, state, x).c, 0.7, rtol=1e-12)
    np.testing.assert_allclose(lstm_cell(keep, state, x).h, np.tanh(0.7), rtol=1e-12)
    write = zero._replace(bias=jnp.asarray([50.0, -50.0, 50.0, -50.0]))
    np.testing.assert_allclose(lstm_cell(write, state, x).c, 1, rtol=1e-12)
    np.testing.assert_allclose(lstm_cell(write, state, x).h, 0, atol=1e-12)


def test_the_two_resets_differ_and_agree_when_open(x64, some):
    """With r = 1 before and after are one; otherwise they are not."""
    p, h, x = some.parameters(GRU), some.draw((2, 4)), some.draw((2, 3))
    two = [gru_cell(p, h, x, reset_after=after) for after in (True, False)]
    assert float(jnp.max(jnp.abs(two[0] - two[1]))) > 1e-2
    p = p._replace(bias=p.bias.at[:4].set(60.0))
    two = [gru_cell(p, h, x, reset_after=after) for after in (True, False)]
    np.testing.assert_allclose(two[0], two[1], atol=1e-12)
