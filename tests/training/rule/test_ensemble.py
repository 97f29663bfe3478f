# SPDX-License-Identifier: Apache-2.0
"""Laws of ensembles: each member is the model it would have been alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml.training import descend, ensemble, guard, member, skip, sweep


def key():
    """A fresh handle on the same key: the reuse checker follows handles, not bits."""
    return jax.random.key(3)


SIZE = 3


def make(key):
    """A small network."""
    return nnx.Linear(3, 2, rngs=nnx.Rngs(key))


make_all = jax.jit(jax.vmap(make))


def loss(model, batch, key):
    noise = jax.random.normal(key, batch.shape)
    return jnp.mean((model(batch + noise) - 1.0) ** 2), {}


def train(rule, model, batches):
    """A few steps under scan."""
    state = rule.init(model, key())

    def step(carry, turn):
        i, batch = turn
        model, state, metrics = rule.update(*carry, batch, jax.random.fold_in(key(), i))
        return (model, state), metrics

    return jax.lax.scan(step, (model, state), (jnp.arange(len(batches)), batches))


def pick(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


ADAM = guard(descend(loss, optax.adam(0.05)), skip)


@jax.jit
def one_by_one(models, batches):
    """Each member trained alone."""
    return [train(member(ADAM, i), pick(models, i), batches[:, i]) for i in range(SIZE)]


@pytest.mark.parametrize("own_batches", [False, True])
def test_members_train_as_if_alone(own_batches):
    """ensemble(rule)[i] follows member(rule, i), noise included."""
    models = make_all(jax.random.split(key(), SIZE))
    shape = (5, SIZE, 8, 3) if own_batches else (5, 8, 3)
    batches = jax.random.normal(key(), shape)
    rule = ensemble(ADAM, SIZE, batches=own_batches)
    (together, _), metrics = jax.jit(partial(train, rule))(models, batches)
    together = jax.tree.map(np.asarray, together)
    assert metrics["loss"].shape == (5, SIZE)
    batches = batches if own_batches else jnp.stack([batches] * SIZE, axis=1)
    for i, ((alone, _), single) in enumerate(one_by_one(models, batches)):
        np.testing.assert_allclose(np.asarray(metrics["loss"])[:, i], single["loss"], rtol=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), pick(together, i), alone
        )


def test_a_sweep_gives_each_member_its_own_learning_rate():
    """Member i of the sweep is the run with that rate."""
    rates = jnp.array([0.0, 0.01, 0.1])
    model = make(key())
    models = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), model)
    batches = jax.random.normal(key(), (5, 8, 3))
    rule = sweep(lambda rate: descend(loss, optax.sgd(rate)), rates)

    @jax.jit
    def each_rate(model, batches):
        rules = [member(descend(loss, optax.sgd(rate)), i) for i, rate in enumerate(rates)]
        return [train(single, model, batches)[0][0].kernel[...] for single in rules]

    (together, _), _ = jax.jit(partial(train, rule))(models, batches)
    together = np.asarray(together.kernel[...])
    for kernel, alone in zip(together, each_rate(model, batches), strict=True):
        np.testing.assert_allclose(kernel, alone, atol=1e-6)
    np.testing.assert_array_equal(together[0], model.kernel[...])
    assert np.abs(together[1] - together[2]).max() > 1e-3


def test_an_empty_ensemble_is_refused():
    """The size is checked where it is given."""
    with pytest.raises(ValueError, match="size must be at least 1"):
        ensemble(descend(loss, optax.sgd(0.1)), 0)


def test_only_a_cpu_keeps_the_copies_of_a_batch_apart():
    """The barrier stands in the program for a CPU and in no other."""
    models = make_all(jax.random.split(key(), SIZE))
    rule = ensemble(descend(loss, optax.sgd(0.1)), SIZE)
    args = (models, rule.init(models, key()), jnp.ones((8, 3)), key())
    for platform, kept in (("cpu", True), ("cuda", False), ("tpu", False)):
        traced = jax.jit(lambda *a: jax.tree.leaves(rule.update(*a))).trace(*args)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("optimization_barrier" in text) == kept, platform
