# SPDX-License-Identifier: Apache-2.0
"""The objective of a diffusion model whose schedule is learned too."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.diffusion.weighting import vlb
from jaxml.models.condition import unpack
from jaxml.models.diffusion.bound import ends
from jaxml.models.diffusion.model import Diffusion
from jaxml.models.diffusion.objective import errors
from jaxml.nn.learned_schedule import LearnedSchedule, Way
from jaxml.types import Batch, Key, Metrics, Scalar


def schedule_loss(model: Diffusion, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−(reconstruction − prior − diffusion) in nats an element; its value is the whole bound.

    The network and the two ends of the schedule follow the bound. The bound does not know the way
    between the ends, which follows the mean square of the diffusion part over draws of t and noise,
    and so makes the estimate of the bound vary less.

    Args:
      model: with a learned schedule.
      batch: x, or `{"x": x, "y": context}` for a conditional model.
      key: for times and noise.

    Raises:
      ValueError: if the schedule is not learned.

    Reference: Kingma et al. 2021, appendix I.2, arXiv:2107.00630.
    """
    if not isinstance(model.noise, LearnedSchedule):
        raise ValueError("model: expected one with a learned schedule")
    x, _ = unpack(batch)
    error_key, data_key = jax.random.split(key)
    dim = math.prod(x.shape[1:])
    on_its_way = _diffusion(_held(model, Way), batch, error_key)
    prior, data = ends(model, x, data_key)
    value = jnp.mean(on_its_way) + jnp.mean(prior - data) / dim
    # The same draws once more. Compiled it is one pass forwards and two back, 1.6 times the work of
    # the bound alone, because the two parts have gradients of their own.
    again = _diffusion(_held(model, nnx.Not(Way)), batch, jax.random.clone(error_key))
    square = jnp.mean(jnp.square(again))
    metrics = {"diffusion": jnp.mean(on_its_way), "spread": jnp.std(on_its_way)}
    return value + square - jax.lax.stop_gradient(square), metrics


def _diffusion(model: Diffusion, batch: Batch, key: Key) -> Float[Array, " n"]:
    """−½ dλ/dt |ε − ε̂|² a row, at one time each: nats an element."""
    error, t, gain, _ = errors(model, batch, key)
    each = jnp.mean(error, axis=tuple(range(1, error.ndim)))
    return vlb(model.schedule, t) * jnp.square(gain) * each


def _held(model: Diffusion, which: nnx.filterlib.Filter) -> Diffusion:
    """The model with some of its parameters as constants."""
    graph, held, rest = nnx.split(model, which, ...)
    return nnx.merge(graph, jax.lax.stop_gradient(held), rest)
