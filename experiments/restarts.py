# SPDX-License-Identifier: Apache-2.0
"""Models that learn side by side from other starts, of which one is kept."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxml.types import Array, Model


@partial(jax.jit, static_argnums=0)
def likeliest(
    log_prob: Callable[[Model, Array], Array], x: Array, models: Model, state: object
) -> Model:
    """Of all starts the one that has come to the highest likelihood of the training data.

    Args:
      log_prob: `(model, x) -> log p(x)` of every row.
      x: the data.
      models: every leaf with a leading axis of starts.
      state: of the rule; not looked at.
    """
    del state
    values = jax.vmap(lambda model: log_prob(model, x).mean())(models)
    return jax.tree.map(lambda leaf: leaf[jnp.argmax(values)], models)
