# SPDX-License-Identifier: Apache-2.0
"""The normalizing flow: x = f⁻¹(z), z from a base, with an exact and normalized density."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from jaxml.models.condition import Context, unpack
from jaxml.models.flow.distribution import Base
from jaxml.nn import data_dependent
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Loss, Metrics, Scalar


class Flow(nnx.Module):
    """Log p(x) = log p_base(f(x)) + log |det ∂f/∂x|, f from data to noise.

    Args:
      layers: f, a module with `forward(x, context) -> (z, log_det)` and `inverse`, such as those
        of `jaxml.nn`.
      base: the distribution of z, see `jaxml.models.flow.distribution`.

    Reference: Rezende and Mohamed 2015, equation 5, arXiv:1505.05770.
    """

    def __init__(self, layers: Any, base: Base):
        self.layers, self.base = layers, base


def log_prob(
    model: Flow, x: Shaped[Array, "batch *event"], *, context: Context = None
) -> Float[Array, "batch"]:
    """log p(x), exact, in nats; never in less than single precision."""
    z, log_det = model.layers.forward(widen(x), context)
    return model.base.log_prob(z) + log_det


def sample(model: Flow, key: Key, n: int, *, context: Context = None) -> Float[Array, "n *event"]:
    """n draws from p: z from the base, x = f⁻¹(z); a context has a row a draw."""
    return model.layers.inverse(model.base.sample(key, n), context)[0]


def sample_and_log_prob(
    model: Flow, key: Key, n: int, *, context: Context = None
) -> tuple[Float[Array, "n *event"], Float[Array, "n"]]:
    """Draws with their own log p, from one pass: nothing is inverted that has lost its digits."""
    z = model.base.sample(key, n)
    x, log_det = model.layers.inverse(z, context)
    return x, model.base.log_prob(z) - log_det


def encode(
    model: Flow, x: Shaped[Array, "batch *event"], *, context: Context = None
) -> Float[Array, "batch *noise"]:
    """z = f(x), the noise that x came from."""
    return model.layers.forward(widen(x), context)[0]


def generate(
    model: Flow, z: Float[Array, "batch *noise"], *, context: Context = None
) -> Float[Array, "batch *event"]:
    """x = f⁻¹(z)."""
    return model.layers.inverse(z, context)[0]


def start(model: Flow, x: Shaped[Array, "batch *event"], *, context: Context = None) -> Flow:
    """The flow with every activation normalization begun from this batch; see `jaxml.nn.start`."""
    return Flow(data_dependent.start(model.layers, widen(x), context)[1], model.base)


def loss(model: Flow, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """Mean −log p(x) over the batch, in nats.

    Args:
      model: the flow.
      batch: x, or `{"x": x, "y": context}` for a conditional flow.
      key: not used: the likelihood is exact.
    """
    del key
    x, context = unpack(batch)
    value = jnp.mean(log_prob(model, x, context=context))
    return -value, {"log_prob": value}


def reverse_loss(target: Callable[[Array], Array], n: int) -> Loss:
    """Loss(model, batch, key) = E_p[log p(x) − log π(x)] over n own draws: KL(p ‖ π) − log Z.

    Learns an unnormalized density π that can be evaluated but not sampled; the batch is not read.

    Args:
      target: `x (n, *event) -> log π (n,)`.
      n: draws a step.

    Reference: Rezende and Mohamed 2015, equation 15, arXiv:1505.05770.
    """

    def of_target(model: Flow, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
        del batch
        x, log_p = sample_and_log_prob(model, key, n)
        value = jnp.mean(log_p - target(x))
        return value, {"divergence": value}

    return of_target
