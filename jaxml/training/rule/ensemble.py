# SPDX-License-Identifier: Apache-2.0
"""Many models in one compiled step: seeds, initializations and learning rates under `vmap`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxml.types import Array, Batch, Key, Metrics, Model, Rule, State


def ensemble(rule: Rule, size: int, *, batches: bool = False) -> Rule:
    """`vmap` the rule over a model whose every leaf has a leading axis of `size` members.

    Make such a model with `jax.vmap(make)(jax.random.split(key, size))`. Member i draws from
    `fold_in(key, i)`: trained alone under `member(rule, i)` it follows the same trajectory up to
    rounding. Metrics are vectors of `size` entries.

    Args:
      rule: what each member follows.
      size: how many members.
      batches: whether the batch too has the leading axis; otherwise all see the same batch.

    Raises:
      ValueError: if `size` < 1.
    """
    if size < 1:
        raise ValueError(f"ensemble: size must be at least 1, got {size}")

    def init(model: Model, key: Key) -> State:
        return jax.vmap(rule.init)(model, _keys(key, size))

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        batch = batch if batches else _copies(batch, size)
        return jax.vmap(rule.update)(model, state, batch, _keys(key, size))

    return Rule(init, update)


def member(rule: Rule, i: int) -> Rule:
    """The rule that member i of an `ensemble` follows, for a model that trains alone."""

    def init(model: Model, key: Key) -> State:
        return rule.init(model, jax.random.fold_in(key, i))

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        return rule.update(model, state, batch, jax.random.fold_in(key, i))

    return Rule(init, update)


def sweep(make: Callable[[Array], Rule], values: Array) -> Rule:
    """An ensemble whose member i follows `make(values[i])`: learning rates, β, temperatures.

    `sweep(lambda rate: descend(loss, optax.adam(rate)), rates)` trains all of them in one step.
    `make` is traced, so a value may enter arithmetic but may not choose shapes or Python branches.
    """
    size = len(jax.tree.leaves(values)[0])

    def init(model: Model, key: Key) -> State:
        return jax.vmap(lambda v, m, k: make(v).init(m, k))(values, model, _keys(key, size))

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        def one(value, model, state, key):
            return make(value).update(model, state, batch, key)

        return jax.vmap(one)(values, model, state, _keys(key, size))

    return Rule(init, update)


def _keys(key: Key, size: int) -> Array:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(size))


def _copies(batch: Batch, size: int) -> Batch:
    """The batch once for each member.

    A CPU multiplies member by member. Were the batch shared, `vmap` would merge all members into
    one product with transposed results, which takes up to twice the time; the barrier keeps XLA
    from seeing that the copies are equal. An accelerator may see it and do as it likes.
    """

    def repeated(batch):
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), batch)

    def kept_apart(batch):
        return jax.lax.optimization_barrier(repeated(batch))

    return jax.lax.platform_dependent(batch, cpu=kept_apart, default=repeated)
