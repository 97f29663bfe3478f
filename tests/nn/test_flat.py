# SPDX-License-Identifier: Apache-2.0
"""A model in one vector is the same model, and learns the same."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml.nn.flat import Flat, flat
from jaxml.training import average, chain, descend, ensemble


class Net(nnx.Module):
    """Running statistics, and parameters of one dtype or of two."""

    def __init__(self, rngs: nnx.Rngs, dtype=jnp.float32):
        self.norm = nnx.BatchNorm(3, momentum=0.5, rngs=rngs)
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.last = nnx.Linear(4, 2, dtype=dtype, param_dtype=dtype, rngs=rngs)

    def __call__(self, x):
        h = jnp.tanh(self.first(self.norm(x)))
        return self.last(h).astype(jnp.float32)


def loss(model, batch, key):
    noise = 0.1 * jax.random.normal(key, batch.shape)
    return jnp.mean((model(batch + noise) - 1.0) ** 2), {"mean": jnp.mean(batch)}


@partial(jax.jit, static_argnums=0)
def make(dtype=jnp.float32):
    return Net(nnx.Rngs(0), dtype)


def train(rule, model, n=6):
    """A few steps under scan."""
    batches = jax.random.normal(jax.random.key(5), (n, 8, 3)) + 2.0
    state = rule.init(model, jax.random.key(6))

    def step(carry, turn):
        i, batch = turn
        model, state, metrics = rule.update(*carry, batch, jax.random.fold_in(jax.random.key(7), i))
        return (model, state), metrics

    (model, state), metrics = jax.jit(
        lambda model, state: jax.lax.scan(step, (model, state), (jnp.arange(n), batches))
    )(model, state)
    return model, state, metrics


def values(model):
    return nnx.to_pure_dict(nnx.state(model))


def test_large_leaves_have_vectors_of_their_own():
    """Leaves of one dtype follow each other until a vector is full; none is cut in two."""
    sizes = [4, 4, 4, 30, 2, 8, 1]
    model = nnx.List(nnx.Param(jnp.full(n, i)) for i, n in enumerate(sizes))
    model.append(nnx.Param(jnp.ones(3, jnp.bfloat16)))
    packed = Flat(model, most=10)
    held = [np.unique(vector[...].astype(float)).tolist() for vector in packed.vectors]
    assert held == [[0, 1], [2], [3], [4, 5], [6], [1]]
    jax.tree.map(np.testing.assert_array_equal, values(packed.unpack()), values(model))


def test_packing_and_unpacking_change_nothing():
    """One vector a dtype holds every parameter; unpacked, each is where it was."""
    model = make(jnp.bfloat16)
    packed = Flat(model)
    assert sorted(v[...].shape for v in packed.vectors) == [(10,), (22,)]
    jax.tree.map(np.testing.assert_array_equal, values(packed.unpack()), values(model))


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(optax.adamw(0.05), marks=pytest.mark.slow),
        optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.5, momentum=0.9)),
    ],
    ids=["adamw", "clipped momentum"],
)
def test_a_flat_model_learns_what_the_tree_learns(optimizer):
    """Parameters, running statistics and metrics, under jit and scan."""
    model, _, expected = train(descend(loss, optimizer), make())
    packed, _, metrics = train(descend(flat(loss), optimizer), Flat(make()))
    found = values(packed.unpack())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, values(model))
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=1e-6)
    assert np.abs(found["norm"]["mean"]).max() > 0.1


def test_the_gradient_of_the_vector_is_the_gradient_of_the_tree():
    """∂loss/∂vector unpacks to ∂loss/∂parameters."""
    x = jnp.arange(12.0).reshape(4, 3) / 10

    @jax.jit
    def both(model):
        gradient = jax.grad(lambda m: loss(m, x, jax.random.key(1))[0])(model)
        packed = jax.grad(lambda m: flat(loss)(m, x, jax.random.key(1))[0])(Flat(model))
        return packed.unpack(), gradient

    for a, b in zip(*map(jax.tree.leaves, both(make(jnp.bfloat16))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_averages_and_ensembles_hold_flat_models():
    """The average unpacks to the tree's average, and a member to the model it was alone."""
    rule = chain(learn=descend(loss, optax.sgd(0.1)), average=average(0.5))
    flat_rule = chain(learn=descend(flat(loss), optax.sgd(0.1)), average=average(0.5))
    _, state, _ = train(rule, make())
    _, packed, _ = train(flat_rule, Flat(make()))
    found = values(packed["average"]["model"].unpack())
    expected = values(state["average"]["model"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)

    members = jax.jit(
        jax.vmap(lambda i: Flat(Net(nnx.Rngs(jax.random.fold_in(jax.random.key(0), i)))))
    )(jnp.arange(3))
    _, _, metrics = train(ensemble(descend(flat(loss), optax.sgd(0.1)), 3), members)
    assert metrics["loss"].shape == (6, 3)
    assert len(set(metrics["loss"][-1].tolist())) == 3


def test_only_what_wrt_selects_lies_in_the_vector():
    """The rest stays as it is, and a selection of nothing is refused."""

    def first(path, variable):
        return isinstance(variable, nnx.Param) and path[0] == "first"

    packed = Flat(make(), wrt=first)
    assert [v[...].shape for v in packed.vectors] == [(16,)]
    jax.tree.map(np.testing.assert_array_equal, values(packed.unpack()), values(make()))
    with pytest.raises(ValueError, match="wrt selects no parameter of Net"):
        Flat(make(), wrt=nnx.Cache)


def test_a_change_of_the_flat_model_leaves_the_original_alone():
    """The vector is a copy, and so is what stays outside it."""
    model = make()
    packed = Flat(model)
    flat(loss)(packed, jnp.ones((4, 3)) * 3, jax.random.key(1))
    assert np.abs(values(packed.unpack())["norm"]["mean"]).max() > 0
    np.testing.assert_array_equal(values(model)["norm"]["mean"], np.zeros(3))
