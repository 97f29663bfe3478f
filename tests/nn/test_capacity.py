# SPDX-License-Identifier: Apache-2.0
"""What networks can represent, and why that alone promises nothing about unseen examples."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxml.metrics.classification import accuracy, confusion_matrix
from jaxml.nn import MLP

DOMAIN = np.array(list(itertools.product([0, 1], repeat=3)))
SEEN = [0, 1, 2, 5]
UNSEEN = [3, 4, 6, 7]


def majority(x, y, new):
    """The commoner label."""
    return np.full(len(new), int(2 * y.sum() >= len(y)))


def minority(x, y, new):
    """The rarer one: a learner that nobody would use."""
    return 1 - majority(x, y, new)


def neighbour(x, y, new):
    """The label of the nearest example."""
    return y[np.abs(new[:, None] - x[None]).sum(-1).argmin(1)]


def parity(x, y, new):
    """Parity, whichever sign fits the examples better."""
    agree = np.mean(x.sum(1) % 2 == y)
    return (new.sum(1) + (agree < 0.5)) % 2


def test_over_all_targets_no_learner_beats_another():
    """Σ_f of the accuracy on unseen points is one number for all learners; over some f it is not.

    All 256 Boolean functions of three bits: the sum runs over the targets, without which the
    sentence is false.
    """
    targets = [np.array(bits) for bits in itertools.product([0, 1], repeat=8)]
    smooth = [f for f in targets if (f == f[0]).all() or (f == DOMAIN[:, 0]).all()]

    def mean_accuracy(learner, functions):
        guesses = [learner(DOMAIN[SEEN], f[SEEN], DOMAIN[UNSEEN]) for f in functions]
        truths = np.array(functions, np.int32)[:, UNSEEN]
        counts = confusion_matrix(jnp.asarray(truths), jnp.asarray(guesses, jnp.int32), 2)
        return float(accuracy(counts))

    learners = (majority, minority, neighbour, parity)
    for learner in learners:
        assert mean_accuracy(learner, targets) == 0.5
    assert mean_accuracy(neighbour, smooth) > mean_accuracy(minority, smooth)


def interpolant(f, n):
    """The network Σᵢ vᵢ relu(x − xᵢ) + f(0) that joins f at n + 1 equal steps by straight lines."""
    knots = np.linspace(0, 1, n + 1)
    slopes = np.diff(f(knots)) * n
    net = MLP(1, (n,), 1, activation=jax.nn.relu, rngs=nnx.Rngs(0))
    first, last = net.layers
    first.kernel[...], first.bias[...] = jnp.ones((1, n)), jnp.asarray(-knots[:-1], jnp.float32)
    last.kernel[...] = jnp.asarray(np.diff(slopes, prepend=0.0)[:, None], jnp.float32)
    last.bias[...] = jnp.asarray(f(knots[:1]), jnp.float32)
    return net


def test_one_hidden_layer_approximates_a_continuous_function():
    """sup|f − Σ vᵢ φ(wᵢx + bᵢ)| ≤ max|f″|/(8n²) in straight lines; at the cusp of √, 1/(4√n)."""
    x = np.linspace(0, 1, 2001)

    def error(f, n):
        net = interpolant(f, n)
        return np.abs(
            np.asarray(jax.jit(net)(jnp.asarray(x[:, None], jnp.float32)))[:, 0] - f(x)
        ).max()

    def wave(t):
        return np.sin(2 * np.pi * t)

    errors = np.array([error(wave, n) for n in (8, 16, 32)])
    bounds = (2 * np.pi) ** 2 / 8 / np.array([8.0, 16.0, 32.0]) ** 2
    assert (errors <= bounds).all()
    assert (errors >= 0.8 * bounds).all()
    # The chord over the first of n steps misses √ by at most 1/(4√n).
    np.testing.assert_allclose(
        [error(np.sqrt, n) for n in (10, 40)], [0.25 / np.sqrt(10), 0.25 / np.sqrt(40)], rtol=1e-3
    )
