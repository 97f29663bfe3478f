# SPDX-License-Identifier: Apache-2.0
"""Persistent contrastive divergence: chains that live on from step to step, as a rule's state."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxml.types import Batch, Key, Metrics, Model, Rule, State

Walk = Callable[[Any, Array, Key], Array]
"""`(model, x, key) -> x`: some steps of a chain that keeps the model, one row a chain."""
Fresh = Callable[[Key, int], Array]
"""`(key, n) -> x`: where n chains begin."""


def rule(learn: Rule, walk: Walk, fresh: Fresh, *, size: int = 8192, reinit: float = 0.05) -> Rule:
    """x̃ ← walk(x̃) from a buffer of chains, then one step of `learn` on data against x̃.

        energy.rule(descend(energy.contrastive_loss, optimizer), energy.langevin, fresh)

    As many chains as there are data are taken out of the buffer, a few of them begin anew, all walk
    on, the model learns from their ends, and they go back. Chains that follow a slowly moving model
    need few steps a time where those that begin at the data would need very many. What the rule
    learns from gets them as `batch["fake"]`, and they are part of the state: a resumed run goes on
    with the same chains.

    Args:
      learn: such as `descend(contrastive_loss, ...)`; its batch is `{"x": ..., "fake": ...}` and
        what else the data had.
      walk: steps of the chains, such as `partial(langevin, n_steps=60)` or `rbm.walk`.
      fresh: where chains begin.
      size: chains in the buffer.
      reinit: the share of chains that begin anew, on average.

    Returns:
      A rule with the metrics of `learn`, and `moved`: how far a number of a chain has gone, as the
      root of the mean square. Its state is `{"learn", "chains"}`.

    Raises:
      ValueError: for a buffer without a chain or a share outside [0, 1]; when traced, if the batch
        is larger than the buffer.

    Reference: Tieleman 2008, Training RBMs using approximations to the likelihood gradient; Du and
    Mordatch 2019, section 3.1, arXiv:1903.08689.
    """
    if size < 1 or not 0 <= reinit <= 1:
        raise ValueError(f"size, reinit: expected >= 1 and a share, got {size} and {reinit}")

    def init(model: Model, key: Key) -> State:
        learn_key, key = jax.random.split(key)
        return {"learn": learn.init(model, learn_key), "chains": fresh(key, size)}

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        batch = batch if isinstance(batch, Mapping) else {"x": batch}
        n = len(batch["x"])
        if n > size:
            raise ValueError(f"size: expected at least the {n} chains of a batch, got {size}")
        choice_key, anew_key, fresh_key, walk_key, learn_key = jax.random.split(key, 5)
        chosen = jax.random.choice(choice_key, size, (n,), replace=False)
        begin = state["chains"][chosen]
        anew = jax.random.bernoulli(anew_key, reinit, (n,) + (1,) * (begin.ndim - 1))
        begin = jnp.where(anew, fresh(fresh_key, n), begin)
        fake = jax.lax.stop_gradient(walk(model, begin, walk_key))
        model, inner, metrics = learn.update(
            model, state["learn"], {**batch, "fake": fake}, learn_key
        )
        chains = state["chains"].at[chosen].set(fake)
        moved = jnp.sqrt(jnp.mean(jnp.square(fake - begin)))
        return model, {"learn": inner, "chains": chains}, {**metrics, "moved": moved}

    return Rule(init, update)
