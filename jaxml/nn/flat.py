# SPDX-License-Identifier: Apache-2.0
"""A model whose parameters lie in a few vectors, for the price of a few arrays at every step."""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxml.types import Array, Batch, Key, Loss, Metrics, Model

MOST = 2**20
"""Numbers in a vector: with those of an optimizer beside them, 16 MB, they still fit in a cache."""


class Group(NamedTuple):
    """The parameters of one vector: their places among all leaves, and their shapes."""

    places: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]


class Flat(nnx.Module):
    """θ = (θ₁, θ₂, …) ∈ ℝᴺ: the parameters of a model one after another in vectors of one dtype.

    An optimizer that treats each number alone (Adam, SGD, Lion and their kin, clipping by the
    global norm) does the same to the vectors as to the tree, in one pass instead of one a leaf, and
    a step that is called from Python carries a handful of arrays instead of hundreds. What looks
    at whole matrices (LAMB, Muon, Adafactor, masks by name) needs the tree. A leaf of more than
    `most` numbers has a vector of its own.

    Example:
      >>> model = Flat(vae.mlp(784, (256,), 32, bernoulli(), rngs=nnx.Rngs(0)))
      >>> rule = descend(flat(vae.loss), optax.adam(1e-3))
      >>> vae.sample(model.unpack(), key, 16)

    Args:
      model: any module; it is copied.
      wrt: a Flax filter: which leaves go into the vectors. The others, such as running
        statistics, are kept as they are in `rest`.
      most: numbers that share a vector.

    Raises:
      ValueError: if `wrt` selects no leaf.
    """

    def __init__(self, model: Model, *, wrt: Any = nnx.Param, most: int = MOST):
        graphdef, params, rest = nnx.split(nnx.clone(model), wrt, ...)
        leaves, treedef = jax.tree.flatten(nnx.to_pure_dict(params))
        if not leaves:
            raise ValueError(f"Flat: wrt selects no parameter of {type(model).__name__}")
        places = _share(leaves, most)
        chosen = [[leaves[i] for i in group] for group in places]
        self.groups = nnx.static(
            tuple(
                Group(tuple(group), tuple(leaf.shape for leaf in parts))
                for group, parts in zip(places, chosen, strict=True)
            )
        )
        self.treedef, self.graphdef = nnx.static(treedef), nnx.static(graphdef)
        self.vectors = nnx.List(
            nnx.Param(jnp.concatenate([leaf.ravel() for leaf in parts])) for parts in chosen
        )
        self.rest = nnx.data(nnx.to_pure_dict(rest, lambda variable: variable))

    def unpack(self) -> Model:
        """The model itself, ready to sample from."""
        leaves: dict[int, Array] = {}
        for group, vector in zip(self.groups, self.vectors, strict=True):
            ends = list(accumulate(math.prod(shape) for shape in group.shapes))
            parts = jnp.split(vector[...], ends[:-1])
            for place, shape, part in zip(group.places, group.shapes, parts, strict=True):
                leaves[place] = part.reshape(shape)
        params = jax.tree.unflatten(self.treedef, [leaves[i] for i in range(len(leaves))])
        return nnx.merge(self.graphdef, params, self.rest, copy=True)


def _share(leaves: Sequence[Array], most: int) -> list[list[int]]:
    """Places of the leaves that share a vector: of one dtype, together at most `most` numbers."""
    groups: list[list[int]] = []
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):
        room = 0
        for place, leaf in enumerate(leaves):
            if leaf.dtype == dtype:
                if leaf.size > room:
                    groups.append([])
                    room = most
                groups[-1].append(place)
                room -= leaf.size
    return groups


def flat(
    loss: Loss, *, wrt: Any = nnx.Param
) -> Callable[[Flat, Batch, Key], tuple[Array, Metrics]]:
    """Loss(θ, batch, key) for a model that is `Flat`.

    What the loss changes in the model (running statistics) arrives in the flat model.

    Args:
      loss: of the model itself.
      wrt: as it was given to `Flat`.
    """

    def of_vector(model: Flat, batch: Batch, key: Key) -> tuple[Array, Metrics]:
        inner = model.unpack()
        value, metrics = loss(inner, batch, key)
        _, _, rest = nnx.split(inner, wrt, ...)
        nnx.update(model.rest, rest)
        return value, metrics

    return of_vector
