# SPDX-License-Identifier: Apache-2.0
"""Flows in continuous time: FFJORD, and its loss with an estimated trace and penalized energies."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxml.bijections import Path, ode
from jaxml.models.condition import unpack
from jaxml.models.flow.distribution import Base, Normal
from jaxml.models.flow.model import Flow
from jaxml.nn.composed import Chain, Inverted, Stack
from jaxml.nn.continuous import Continuous
from jaxml.nn.field import VectorField
from jaxml.nn.mlp import Activation
from jaxml.numerics import widen
from jaxml.types import Array, Batch, Key, Loss, Metrics, Scalar

Noise = Callable[..., Array]
"""`(key, shape, dtype) -> ε` with E εεᵀ = I."""


def ffjord(
    n: int,
    n_blocks: int = 1,
    *,
    widths: Sequence[int] = (64, 64),
    n_context: int = 0,
    activation: Activation = jnp.tanh,
    time: float = 1.0,
    solver: ode.Solver | None = None,
    joint: bool = False,
    base: Base | None = None,
    rngs: nnx.Rngs,
) -> Flow:
    """Continuous layers whose fields are networks of any form, begun as the identity.

    Its `log_prob`, and with it `flow.loss`, is exact up to the solver's tolerance and costs D times
    a field; in many dimensions it is trained by `ffjord_loss`.

    Args:
      n: D.
      n_blocks: layers one after the other, each with a field of its own.
      widths: hidden features of a field.
      n_context: features of a context.
      activation: smooth.
      time: T.
      solver: see `jaxml.bijections.ode`; None is `ode.adaptive()`.
      joint: whether a batch is one equation, see `jaxml.bijections.transport`.
      base: law of z; None is N(0, I).
      rngs: keys for initialization.

    Reference: Grathwohl et al. 2019, arXiv:1810.01367.
    """
    solver = ode.adaptive() if solver is None else solver

    def block(rngs: nnx.Rngs) -> Continuous:
        field = VectorField(n, widths, n_context=n_context, activation=activation, rngs=rngs)
        return Continuous(field, time=time, solver=solver, joint=joint)

    layers = block(rngs) if n_blocks == 1 else Stack(block, n_blocks, rngs=rngs)
    return Flow(layers, base or Normal(n))


def ffjord_loss(
    *,
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    noise: Noise | None = jax.random.rademacher,
) -> Loss:
    """Loss(model, batch, key) = −log p̂(x) + λ_K ∫ ‖f‖² dt + λ_J ∫ ‖εᵀ ∂f/∂x‖² dt, batch means.

    log p̂ is an unbiased estimate of log p in nats: each continuous layer draws one ε an example
    and keeps it along the path. Layers of other kinds add their exact log-determinants. Evidence
    comes from `log_prob`, never from here.

    Args:
      kinetic: λ_K.
      jacobian: λ_J.
      noise: draws ε: `jax.random.rademacher` or `jax.random.normal`. None takes exact traces and
        Jacobians and needs no key.

    Raises:
      ValueError: if a weight is negative; when called, if the flow has no continuous layer.

    Reference: Grathwohl et al. 2019, section 3.1, arXiv:1810.01367; Finlay et al. 2020,
    arXiv:2002.02798.
    """
    for name, weight in {"kinetic": kinetic, "jacobian": jacobian}.items():
        if not weight >= 0:
            raise ValueError(f"{name}: expected a weight of at least 0, got {weight}")

    def of_weights(model: Flow, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
        if not _has_continuous(model.layers):
            raise ValueError("model: expected a flow with a Continuous layer")
        x, context = unpack(batch)
        path = _path(model.layers, widen(x), context, key, noise, back=False)
        means = {
            "log_prob": jnp.mean(model.base.log_prob(path.end) + path.log_det),
            "kinetic": jnp.mean(path.kinetic),
            "jacobian": jnp.mean(path.jacobian),
            "n_evaluations": jnp.mean(path.n_evaluations.astype(path.log_det.dtype)),
        }
        energies = kinetic * means["kinetic"] + jacobian * means["jacobian"]
        return energies - means["log_prob"], means

    return of_weights


def _has_continuous(layers: Any) -> bool:
    def found(node: Any) -> bool:
        return isinstance(node, Continuous)

    return any(map(found, jax.tree.leaves(layers, is_leaf=found)))


def _path(layer: Any, x: Array, context: Any, key: Key, noise: Noise | None, *, back: bool) -> Path:
    """Through layers of layers: the ends of one are where the next begins, the rest adds up."""
    match layer:
        case Continuous():
            eps = None if noise is None else noise(key, x.shape, x.dtype)
            return layer.path(x, context, noise=eps, back=back)
        case Inverted():
            return _path(layer.layer, x, context, key, noise, back=not back)
        case Chain():
            parts = []
            for i, part in enumerate(reversed(layer.layers) if back else layer.layers):
                own = jax.random.fold_in(key, i)
                parts.append(_path(part, x, context, own, noise, back=back))
                x = parts[-1].end
            return _added(
                x, [jnp.stack(each) for each in zip(*(p[1:] for p in parts), strict=True)]
            )
        case Stack():

            def step(x, part_and_index):
                part, i = part_and_index
                own = jax.random.fold_in(key, i)
                x, *rest = _path(part, x, context, own, noise, back=back)
                return x, rest

            n = jax.tree.leaves(layer.layers)[0].shape[0]
            several = layer.layers, jnp.arange(n)
            return _added(*jax.lax.scan(step, x, several, unroll=layer.unroll, reverse=back))
        case _:
            y, log_det = layer.inverse(x, context) if back else layer.forward(x, context)
            none = jnp.zeros_like(log_det)
            return Path(y, log_det, none, none, none.astype(jnp.int32))


def _added(end: Array, parts: Sequence[Array]) -> Path:
    return Path(end, *(jnp.sum(each, axis=0, dtype=each.dtype) for each in parts))
