# SPDX-License-Identifier: Apache-2.0
"""A density up to its normalization: any network that gives one number an example."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from jaxml.numerics import widen
from jaxml.types import Scalar

Events = Float[Array, "batch *event"]
Each = Float[Array, "batch"]
EnergyOf = Callable[[Any, Array], Array]
"""`(model, x) -> E(x)`, one number an example: `energy`, `rbm.free_energy`, `joint.energy`."""


class EnergyModel(nnx.Module):
    """p(x) = e^{−E(x)}/Z with E(x) = f(x) + ‖x‖²/(2s²).

    Args:
      network: f, `x -> energies`, `(batch,)` or `(batch, 1)`; an energy must not depend on other
        examples, so no batch normalization.
      scale: s; with it p can be normalized whatever f does far away, as long as f is bounded by
        less than a square. None leaves the term out, for data in a box.

    Raises:
      ValueError: if s is not positive.

    Reference: LeCun et al. 2006, A tutorial on energy-based learning, section 1.
    """

    def __init__(self, network: Callable[[Array], Array], *, scale: float | None = None):
        if scale is not None and not scale > 0:
            raise ValueError(f"scale: expected a positive number, got {scale}")
        self.network, self.scale = network, scale
        self.log_z = nnx.Param(jnp.zeros(()))


def energy(model: EnergyModel, x: Shaped[Array, "batch *event"]) -> Each:
    """E(x) in nats; its constant is free.

    Raises:
      ValueError: if the network does not give one number an example.
    """
    x = widen(x)
    value = widen(model.network(x))
    if value.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(f"network: expected one number an example, got {value.shape}")
    value = value.reshape(len(x))
    if model.scale is None:
        return value
    return value + jnp.sum(jnp.square(x / model.scale).reshape(len(x), -1), axis=1) / 2


def log_density(model: EnergyModel, x: Shaped[Array, "batch *event"]) -> Each:
    """−E(x) − c in nats, c what `noise_contrastive_loss` has learned for log Z, and 0 elsewhere."""
    return -energy(model, x) - model.log_z[...]


def score(model: Any, x: Events, *, energy: EnergyOf = energy) -> Events:
    """∇ log p(x) = −∇E(x), which needs no normalization.

    Args:
      model: the model.
      x: examples.
      energy: of the model.
    """

    def total(x: Array) -> Scalar:
        return -jnp.sum(energy(model, x))

    return jax.grad(total)(x)
