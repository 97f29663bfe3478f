# SPDX-License-Identifier: Apache-2.0
"""A rule whose settings follow its own steps."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxml.optimizers import adam
from jaxml.training import chain, descend, repeat, scheduled
from jaxml.types import Rule


def adding(amount):
    """Adds an amount to the model, and reports it with a draw of its key."""

    def update(model, state, batch, key):
        del batch
        return model + amount, state + 1, {"amount": amount, "draw": jax.random.uniform(key)}

    return Rule(lambda model, key: jnp.zeros((), jnp.int32), update)


class Point(nnx.Module):
    """A vector that learns."""

    def __init__(self):
        self.x = nnx.Param(jnp.ones(3))


def test_every_step_has_the_settings_of_its_number():
    """Inside of `repeat` and of `chain` the count is the rule's own; the key is handed on."""
    halved = scheduled(adding, lambda i: 0.5 ** i.astype(jnp.float32))
    rule = chain(other=adding(jnp.float32(0)), often=repeat(halved, 2))
    model, state = jnp.zeros(()), rule.init(jnp.zeros(()), jax.random.key(0))
    for _ in range(2):
        model, state, metrics = jax.jit(rule.update)(model, state, None, jax.random.key(1))
    assert model == 1 + 0.5 + 0.25 + 0.125
    assert state["often"]["count"] == 4
    assert state["often"]["rule"] == 4
    np.testing.assert_allclose(metrics["often/amount"], (0.25 + 0.125) / 2)
    plain = repeat(adding(jnp.float32(1)), 2)
    key = jax.random.key(2)
    _, _, one = plain.update(model, plain.init(model, key), None, jax.random.clone(key))
    alone = repeat(halved, 2)
    _, _, other = alone.update(model, alone.init(model, key), None, jax.random.clone(key))
    assert one["draw"] == other["draw"]


def test_a_value_that_stays_is_the_rule_itself():
    """Adam on a penalized square, its weight a constant of the schedule: the same, bit by bit."""

    def rule_of(weight):
        def loss(model, batch, key):
            del key
            x = model.x[...]
            return jnp.mean((batch - x) ** 2) + weight * jnp.sum(x**2), {}

        return descend(loss, adam(0.1))

    model, batch = Point(), jnp.asarray([1.0, 2.0, 3.0])
    found = []
    for rule in (rule_of(jnp.float32(0.3)), scheduled(rule_of, lambda i: jnp.float32(0.3))):
        theta, state = model, rule.init(model, jax.random.key(0))
        for _ in range(3):
            theta, state, _ = jax.jit(rule.update)(theta, state, batch, jax.random.key(1))
        found.append(np.asarray(theta.x[...]))
    np.testing.assert_array_equal(*found)
