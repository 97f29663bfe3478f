# SPDX-License-Identifier: Apache-2.0
"""Layers that take their first parameters from a batch: activation normalization."""

from functools import partial, singledispatch
from typing import Any

import jax
import jax.numpy as jnp

from jaxml.bijections import Affine, Bijection, actnorm, affine, affine_inverse, independent
from jaxml.nn.composed import Chain, Context, Event, Learned, Moved, Stack
from jaxml.nn.scales import MultiScale, Squeezed


class ActNorm(Learned):
    """y = x e^s + t, one s and t a channel, so that the first batch has mean 0 and variance 1.

    It begins as the identity; `start` gives it its numbers.

    Args:
      n: channels.
      event: axes of an event: 1 for vectors, 3 for images.

    Reference: Kingma and Dhariwal 2018, section 3.1, arXiv:1807.03039.
    """

    def __init__(self, n: int, *, event: int = 1):
        if n < 1:
            raise ValueError(f"n: expected a positive number of channels, got {n}")
        bijection = independent(Bijection(affine, affine_inverse), event)
        super().__init__(bijection, Affine(jnp.zeros(n), jnp.zeros(n)))


@singledispatch
def start(layer: Any, x: Event, context: Context = None) -> tuple[Moved, Any]:
    """What the layer makes of a first batch, and the layer with the parameters that it gave.

    Layers that take nothing from data come back as they are; of layers made of layers, each sees
    what the ones before it, already started, make of the batch. What lies in an `Inverted` stays,
    for its batch would come from the other end. A pure step: the layer given stays as it was.

    Args:
      layer: a flow layer. A new kind of composed layer registers itself here.
      x: the batch; a few hundred examples are enough.
      context: of the examples, in a conditional flow.
    """
    return layer.forward(x, context)[0], layer


@start.register
def _(layer: ActNorm, x: Event, context: Context = None) -> tuple[Moved, ActNorm]:
    del context
    params = actnorm(x, axes=tuple(range(x.ndim - 1)))
    return affine(x, params)[0], _filled(layer, params)


@start.register
def _(layer: Chain, x: Event, context: Context = None) -> tuple[Moved, Chain]:
    parts = []
    for part in layer.layers:
        x, started = start(part, x, context)
        parts.append(started)
    return x, _filled(layer, parts)


@start.register
def _(layer: Stack, x: Event, context: Context = None) -> tuple[Moved, Stack]:
    y, parts = jax.lax.scan(lambda x, one: start(one, x, context), x, layer.layers)
    return y, _filled(layer, parts)


@start.register
def _(layer: Squeezed, x: Event, context: Context = None) -> tuple[Moved, Squeezed]:
    y, part = layer.move(partial(start, layer.layer), x, context)
    return y, _filled(layer, part)


@start.register
def _(layer: MultiScale, x: Event, context: Context = None) -> tuple[Moved, MultiScale]:
    z, parts = layer.descend(x, lambda level, x: start(level, x, context))
    return z, _filled(layer, parts)


def _filled(layer: Any, arrays: Any) -> Any:
    """The layer with these arrays in the place of its own, in their order."""
    return jax.tree.unflatten(jax.tree.structure(layer), jax.tree.leaves(arrays))
