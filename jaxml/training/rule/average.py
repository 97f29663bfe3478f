# SPDX-License-Identifier: Apache-2.0
"""The exponential moving average of the weights, as a rule that only remembers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxml.optimizers import exponential_average
from jaxml.types import Array, Batch, Key, Metrics, Model, Rule, State


def average(decay: float | Callable[[Array], Array]) -> Rule:
    """θ̄ ← d θ̄ + (1 − d) θ over every floating leaf of the model, starting at θ̄ = θ₀.

    The state is `{"count", "model"}`; `state["model"]` is a model like any other, ready to
    sample from. Averages are held in float32 at least: with d = 0.999 a bfloat16 average would
    round every update away. Leaves that are not floating (counters) are copied.

    Args:
      decay: d in [0, 1), or a function of the number of updates so far, for a warm-up such as
        `lambda t: jnp.minimum(0.9999, (1 + t) / (10 + t))`.

    Reference: Polyak & Juditsky 1992; for diffusion models Ho et al. 2020 (arXiv:2006.11239) §B.

    Raises:
      ValueError: if a number is given outside [0, 1).
    """
    if not callable(decay) and not 0 <= decay < 1:
        raise ValueError(f"average: decay must lie in [0, 1), got {decay}")

    def widen(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.copy(leaf)
        dtype = leaf.dtype if jnp.finfo(leaf.dtype).bits >= 32 else jnp.float32
        return jnp.array(leaf, dtype=dtype, copy=True)

    def init(model: Model, key: Key) -> State:
        del key
        return {"count": jnp.zeros((), jnp.int32), "model": jax.tree.map(widen, model)}

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        del batch, key
        d = decay(state["count"]) if callable(decay) else decay
        mean = exponential_average(state["model"], model, d)
        return model, {"count": state["count"] + 1, "model": mean}, {}

    return Rule(init, update)
