# SPDX-License-Identifier: Apache-2.0
"""Gradient descent as a rule: the one place where a loss meets an optimizer."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxml.optimizers import global_norm
from jaxml.types import Batch, Key, Loss, Metrics, Model, Rule, State


def descend(loss: Loss, optimizer: Any, *, wrt: Any = nnx.Param) -> Rule:
    """θ ← θ + update(∇_θ loss(θ, batch, key)): one gradient step over what `wrt` selects.

    The loss may change the model's other Variables in place (running statistics of batch
    normalization); they arrive in the returned model.

    Args:
      loss: `(model, batch, key) -> (value, metrics)`, the mean over the batch.
      optimizer: an `(init, update)` pair with Optax's meaning.
      wrt: a Flax filter: a Variable type, a predicate `(path, variable) -> bool`, or `only(...)`.

    Returns:
      A rule whose metrics are the loss's own, `loss`, and `grad_norm` = ‖∇‖₂, which is finite
      exactly when every gradient entry is (up to overflow of its square).

    Raises:
      ValueError: at `init`, if `wrt` selects no parameter.
    """
    descent = Descent(loss, optax.with_extra_args_support(optimizer), wrt)
    return Rule(descent.init, descent)


def accumulate(rule: Rule, n: int) -> Rule:
    """∇ = (1/n) Σᵢ ∇loss(microbatchᵢ): the same step in a fraction of the memory.

    The batch's leading axis is cut into `n` equal microbatches that are visited in order under
    `lax.scan`; for a loss that is a mean over examples the gradient is that of the whole batch.
    Microbatch i draws from `fold_in(key, i)`, and running statistics see the microbatches in turn.

    Raises:
      TypeError: if the rule was not made by `descend` (accumulate the parts of a `chain`).
      ValueError: if `n` < 1, or, when traced, if `n` does not divide the batch.
    """
    if not isinstance(rule.update, Descent):
        raise TypeError("accumulate: rule must come from descend; accumulate a chain's parts")
    if n < 1:
        raise ValueError(f"accumulate: n must be at least 1, got {n}")
    descent = dataclasses.replace(rule.update, n_microbatches=n)
    return Rule(descent.init, descent)


def only(*names: str) -> Callable[[tuple, Any], bool]:
    """The parameters that live below one of the named attributes of the model."""

    def select(path: tuple, variable: Any) -> bool:
        return isinstance(variable, nnx.Param) and path[0] in names

    return select


@dataclasses.dataclass(frozen=True)
class Descent:
    """What `descend` composes, kept in sight so that `accumulate` can change one part."""

    loss: Loss
    optimizer: optax.GradientTransformationExtraArgs
    wrt: Any
    n_microbatches: int = 1

    def init(self, model: Model, key: Key) -> State:
        """The optimizer's state for the selected parameters."""
        del key
        _, params, _ = nnx.split(model, self.wrt, ...)
        params = nnx.to_pure_dict(params)
        if not jax.tree.leaves(params):
            raise ValueError(f"descend: wrt selects no parameter of {type(model).__name__}")
        return self.optimizer.init(params)

    def __call__(
        self, model: Model, state: State, batch: Batch, key: Key
    ) -> tuple[Model, State, Metrics]:
        """One step."""
        graphdef, params, rest = nnx.split(model, self.wrt, ...)
        params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
        gradient = jax.value_and_grad(partial(self._cost, graphdef), has_aux=True)
        if self.n_microbatches == 1:
            (value, (rest, metrics)), grads = gradient(params, rest, batch, key)
        else:
            (value, (rest, metrics)), grads = self._mean(gradient, params, rest, batch, key)
        with jax.numpy_dtype_promotion("standard"):  # Optax relies on it: decay**count
            updates, state = self.optimizer.update(grads, state, params, value=value, grad=grads)
        params = optax.apply_updates(params, updates)
        metrics = {
            "loss": value,
            **metrics,
            "grad_norm": global_norm(grads),
        }
        return nnx.merge(graphdef, params, rest), state, metrics

    def _cost(self, graphdef, params, rest, batch, key):
        model = nnx.merge(graphdef, params, rest, copy=True)
        value, metrics = self.loss(model, batch, key)
        _, _, rest = nnx.split(model, self.wrt, ...)
        return value, (nnx.to_pure_dict(rest), metrics)

    def _mean(self, gradient, params, rest, batch, key):
        n = self.n_microbatches

        def cut(leaf):
            if leaf.shape[0] % n:
                raise ValueError(f"accumulate: n={n} does not divide a batch of {leaf.shape[0]}")
            return leaf.reshape(n, leaf.shape[0] // n, *leaf.shape[1:])

        def visit(carry, microbatch):
            rest, total = carry
            i, part = microbatch
            (value, (rest, metrics)), grads = gradient(
                params, rest, part, jax.random.fold_in(key, i)
            )
            return (rest, jax.tree.map(jnp.add, total, (value, metrics, grads))), None

        parts = jax.tree.map(cut, batch)
        first = jax.tree.map(lambda leaf: leaf[0], parts)
        (value, (_, metrics)), grads = jax.eval_shape(gradient, params, rest, first, key)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (value, metrics, grads))
        (rest, total), _ = jax.lax.scan(visit, (rest, zeros), (jnp.arange(n), parts))
        value, metrics, grads = jax.tree.map(lambda leaf: leaf / n, total)
        return (value, (rest, metrics)), grads
