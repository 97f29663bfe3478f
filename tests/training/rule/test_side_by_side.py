# SPDX-License-Identifier: Apache-2.0
"""Laws of models that learn side by side."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.data import in_memory
from jaxml.nn import MLP
from jaxml.optimizers import adam, sgd
from jaxml.training import NonFiniteError, descend, fit, guard, side_by_side
from jaxml.types import Rule

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def key():
    """A fresh handle on the same key."""
    return jax.random.key(3)


def loss(net, batch, key):
    """Noisy, so that the key matters."""
    noise = jax.random.normal(key, batch.shape)
    return jnp.mean(jnp.square(net(batch + 0.1 * noise))), {}


def nets():
    return {name: MLP(3, (4,), 2, rngs=nnx.Rngs(i)) for i, name in enumerate(("a", "b"))}


def test_each_model_learns_as_it_would_alone():
    """Model i follows its own rule under fold_in(key, i): bits, state and metrics."""
    rules = {"a": descend(loss, adam(1e-2)), "b": descend(loss, sgd(1e-1))}
    both = side_by_side(**rules)
    models, alone = nets(), nets()
    state = both.init(models, key())
    models, state, metrics = both.update(models, state, jnp.asarray(X), key())
    for i, (name, rule) in enumerate(rules.items()):
        own = jax.random.fold_in(key(), i)
        start = rule.init(alone[name], jax.random.fold_in(key(), i))
        net, kept, seen = rule.update(alone[name], start, jnp.asarray(X), own)
        jax.tree.map(np.testing.assert_array_equal, (net, kept), (models[name], state[name]))
        for metric, value in seen.items():
            np.testing.assert_array_equal(value, metrics[f"{name}/{metric}"])
    assert len(metrics) == 4


def test_the_names_of_models_and_rules_must_agree():
    """No rules, other names and a single model are refused, naming what was expected."""
    with pytest.raises(ValueError, match="at least one rule"):
        side_by_side()
    rule = side_by_side(a=descend(loss, sgd(1.0)))
    for wrong in (nets(), {"b": nets()["b"]}, nets()["a"]):
        with pytest.raises(ValueError, match=re.escape("expected a dict of ['a']")):
            rule.init(wrong, key())


def test_the_loop_names_the_model_that_broke():
    """A guard in the second rule halts the training and names a leaf of the second model."""

    def broken(net, batch, key):
        value, metrics = loss(net, batch, key)
        return value / jnp.where(jnp.sum(batch) < 1e9, 0.0, 1.0), metrics

    rule = side_by_side(a=descend(loss, sgd(1e-2)), b=guard(descend(broken, sgd(1e-2))))
    steps = fit(rule, nets(), in_memory(X, 4, key()), key(), steps=3, chunk=3)
    with pytest.raises(NonFiniteError, match=r"step 1: b/loss = inf.*leaf: model/layers/0/bias"):
        list(steps)


def test_the_loop_carries_a_dict_of_models():
    """`fit` trains it, and hands it back with the names it came with."""
    rule = side_by_side(b=descend(loss, sgd(1e-1)), a=Rule(lambda m, k: {}, still))
    (_, models, state, metrics), *_ = fit(
        rule, nets(), in_memory(X, 4, key()), key(), steps=5, chunk=5
    )
    assert set(models) == set(state) == {"a", "b"}
    assert metrics["b/loss"].shape == (5,)
    jax.tree.map(np.testing.assert_array_equal, models["a"], nets()["a"])
    assert np.abs(models["b"].layers[0].kernel[...] - nets()["b"].layers[0].kernel[...]).max() > 0


def still(model, state, batch, key):
    """A rule that does nothing."""
    return model, state, {}
