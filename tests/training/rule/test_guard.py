# SPDX-License-Identifier: Apache-2.0
"""Laws of the guard: nothing bad is ever applied."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml.training import average, chain, descend, every, guard, loop, skip, stop
from jaxml.training.rule.guard import leaf_names


def key():
    """A fresh handle on the same key: the reuse checker follows handles, not bits."""
    return jax.random.key(0)


NAN, INF = float("nan"), float("inf")


class Line(nnx.Module):
    """y = ax + b."""

    def __init__(self):
        self.slope = nnx.Param(jnp.array(1.0))
        self.offset = nnx.Param(jnp.array(0.5))


def loss(model, batch, key):
    del key
    return jnp.mean((model.slope[...] * batch + model.offset[...]) ** 2), {}


@jax.custom_jvp
def poison(x):
    """The identity with a NaN derivative: finite loss, bad gradient."""
    return x


poison.defjvp(lambda primals, tangents: (primals[0], tangents[0] * NAN))


def poisoned(model, batch, key):
    del key
    return jnp.mean(batch) + poison(model.offset[...]), {}


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


SKIPPING = guard(descend(loss, optax.adam(0.1)), skip)
update_or_skip = jax.jit(SKIPPING.update)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_bad_data_leaves_the_model_bitwise_alone(value):
    """Skipped, counted, and never applied however often it comes back."""
    model = Line()
    state = SKIPPING.init(model, key())
    model, state, _ = update_or_skip(model, state, jnp.ones(4), key())
    for k in range(1, 12):
        batch = jnp.array([1.0, value, 0.0, 2.0])
        new, after, metrics = update_or_skip(model, state, batch, key())
        assert_same(new, model)
        assert_same(after["rule"], state["rule"])
        assert int(metrics["skipped"]) == k
        assert not metrics["stopped"]
        state = after
    new, state, metrics = update_or_skip(model, state, jnp.ones(4), key())
    assert float(new.slope[...]) != float(model.slope[...])
    assert int(metrics["skipped"]) == 11


@pytest.mark.parametrize("policy", [stop, skip])
def test_what_is_inside_stands_still_at_a_bad_step_and_what_is_outside_does_not(policy):
    """The average too is bitwise as it was, and all of the state when the guard stops."""
    learn, mean = descend(loss, optax.adam(0.1)), average(0.5)
    inside = guard(chain(learn=learn, average=mean), policy)
    outside = chain(learn=guard(learn, policy), average=mean)
    for rule in (inside, outside):
        model = Line()
        state = rule.init(model, key())
        update = jax.jit(rule.update)
        model, state, _ = update(model, state, jnp.ones(2), key())
        new, after, metrics = update(model, state, jnp.array([1.0, NAN]), key())
        assert_same(new, model)
        if rule is outside:
            assert (int(state["average"]["count"]), int(after["average"]["count"])) == (1, 2)
            continue
        assert_same(after["rule"], state["rule"])
        assert int(after["skipped"]) == (policy is skip)
        assert int(metrics["skipped"]) == 1


def test_a_bad_gradient_under_a_finite_loss_is_caught_and_named():
    """The loss alone would not have told; the first bad leaf is named in tree order."""
    rule = guard(descend(poisoned, optax.adam(0.1)), stop)
    model = Line()
    state = rule.init(model, key())
    new, _, metrics = jax.jit(rule.update)(model, state, jnp.ones(4), key())
    assert_same(new, model)
    assert bool(metrics["stopped"])
    assert np.isfinite(metrics["loss"])
    names = leaf_names(model, state["rule"])
    assert names[int(metrics["bad_leaf"])] == "model/offset/value"


def test_a_bad_optimizer_state_is_caught():
    """A NaN that hides in the moments is found where it stands."""
    rule = guard(descend(loss, optax.sgd(0.0, momentum=0.9)), stop)
    model = Line()
    state = rule.init(model, key())
    state["rule"] = jax.tree.map(lambda leaf: jnp.full_like(leaf, NAN), state["rule"])
    _, _, metrics = jax.jit(rule.update)(model, state, jnp.ones(4), key())
    assert bool(metrics["stopped"])
    assert int(metrics["bad_leaf"]) >= 0


def test_idle_steps_are_not_bad():
    """The NaN that `every` reports is exempt; a NaN from a part that ran is not."""
    parts = {
        "rare": every(descend(loss, optax.sgd(0.1)), 2),
        "learn": descend(loss, optax.sgd(0.1)),
    }
    rule = guard(chain(**parts), skip)
    model = Line()
    state = rule.init(model, key())
    update = jax.jit(rule.update)
    for batch, bad in [(1.0, 0), (1.0, 0), (NAN, 1), (1.0, 1)]:
        model, state, metrics = update(model, state, jnp.full(3, batch), key())
        assert int(metrics["skipped"]) == bad


def test_a_policy_is_a_function_of_the_count():
    """Halt when more than two were left out."""
    rule = guard(descend(loss, optax.sgd(0.1)), lambda skipped: skipped > 2)
    model = Line()
    state = rule.init(model, key())
    stopped, update = [], jax.jit(rule.update)
    for _ in range(4):
        model, state, metrics = update(model, state, jnp.full(3, NAN), key())
        stopped.append(bool(metrics["stopped"]))
    assert stopped == [False, False, True, True]


def test_what_a_guard_adds_to_a_loop_grows_with_the_leaves_and_not_with_their_square():
    """Lines of the compiled program over 20 and over 80 leaves, beyond those of the bare rule."""

    def length(n, wrap):
        model = nnx.List(nnx.Param(jnp.ones(3) * i) for i in range(n))

        def loss(model, batch, key):
            return sum(jnp.sum(jnp.sin(leaf[...] * batch)) for leaf in model), {}

        rule = wrap(descend(loss, optax.sgd(0.1), wrt=nnx.Param))
        leaves, structure = jax.tree.flatten((model, rule.init(model, key())))
        run = loop.build(rule.update, lambda data, index, offset: data, structure, 2).run
        program = run.lower(leaves, key(), jnp.ones(3), np.int32(0), np.int32(1)).compile()
        return program.as_text().count("\n")

    few, many = (length(n, guard) - length(n, lambda rule: rule) for n in (20, 80))
    assert few > 0
    assert many < 6 * few
