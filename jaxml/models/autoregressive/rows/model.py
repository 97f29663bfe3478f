# SPDX-License-Identifier: Apache-2.0
"""Autoregressive models of rows: columns in an order, in several, or in any."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from jaxml.layers.masking import drawn_degrees
from jaxml.models.autoregressive.rows.conditional import Conditional
from jaxml.models.condition import Context, unpack
from jaxml.nn.masked import MADE
from jaxml.nn.nade import NADE
from jaxml.numerics import logsumexp
from jaxml.types import Batch, Key, Metrics, Scalar


class RowModel(nnx.Module):
    """p(x) = Π p(x_i | columns before i), or (1/M) Σ_m of such products over M sets of masks.

    With one set of masks this is MADE, or NADE if the network is one. With several, one network
    learns under all of them in turn: every set is a law of its own, and their mean is better than
    most.

    Args:
      network: `MADE` or `NADE` with `conditional.n_raw` outputs and `conditional.n_features`
        features an input.
      conditional: what a column may be.
      n_masks: M, sets of masks drawn for a MADE in place of its own; 0 for its own.
      shuffle: whether they have orders of their own, beside connections.
      seed: names the masks.

    Raises:
      ValueError: for a network that does not fit the columns, for masks of a NADE, and for a
        negative number of sets.

    Reference: Germain et al. 2015, section 4, arXiv:1502.03509; with real columns, Uria,
    Murray and Larochelle 2013, arXiv:1306.0186; ensembles of orders: Uria, Murray and Larochelle
    2014, section 4, arXiv:1310.1757.
    """

    def __init__(
        self,
        network: MADE | NADE,
        conditional: Conditional,
        *,
        n_masks: int = 0,
        shuffle: bool = True,
        seed: int = 0,
    ):
        given, asked = ((source.n_raw, source.n_features) for source in (network, conditional))
        if given != asked:
            raise ValueError(f"network: expected {asked} outputs and features, got {given}")
        if n_masks < 0 or (n_masks and not isinstance(network, MADE)):
            raise ValueError(f"n_masks: expected 0, or more for a MADE, got {n_masks}")
        self.network, self.conditional = network, conditional
        self.n_masks, self.shuffle, self.seed = n_masks, shuffle, seed


def loss(model: RowModel, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−log p(x) in nats a row, under one of the sets of masks at random.

    Its mean over sets is at least −log p(x) of the ensemble.

    Args:
      model: the model.
      batch: x, or `{"x": x, "y": context}`.
      key: for the set of masks.
    """
    x, context = unpack(batch)
    i = jax.random.randint(key, (), 0, model.n_masks) if model.n_masks else None
    value = -_log_prob(model, x, context, i).mean()
    return value, {"log_prob": -value, "bits_per_column": value / (x.shape[1] * math.log(2))}


def log_prob(
    model: RowModel, x: Shaped[Array, "batch n"], *, context: Context = None
) -> Float[Array, "batch"]:
    """log p(x), or log (1/M) Σ_m p_m(x), in nats a row; exact, and normalized.

    Args:
      model: the model.
      x: rows.
      context: what a conditional model is conditioned on, a row an example.
    """
    if not model.n_masks:
        return _log_prob(model, x, context, None)
    each = jax.lax.map(lambda i: _log_prob(model, x, context, i), jnp.arange(model.n_masks))
    return logsumexp(each, axis=0) - math.log(model.n_masks)


def sample(
    model: RowModel, key: Key, n: int, *, context: Context = None
) -> Shaped[Array, "n columns"]:
    """n draws: every column given those before it; in an ensemble, each by one set at random.

    A MADE takes a pass for every column; rows of an ensemble are drawn one after another.

    Args:
      model: the model.
      key: for the draws.
      n: how many.
      context: what a conditional model is conditioned on, a row a draw.
    """
    draws, choice = jax.random.split(key)

    def draw(raw: Array, key: Key) -> tuple[Array, Array]:
        x = model.conditional.sample(raw, key)
        return x, model.conditional.features(x).astype(raw.dtype)

    network = model.network
    if not model.n_masks or isinstance(network, NADE):
        return network.walk(draw, draws, n, context)

    def one(given: tuple) -> Array:
        key, i, c = given
        c = None if c is None else c[None]
        return network.walk(draw, key, 1, c, degrees=_degrees(model, i))[0]

    which = jax.random.randint(choice, (n,), 0, model.n_masks)
    return jax.lax.map(one, (jax.random.split(draws, n), which, context))


def _log_prob(
    model: RowModel, x: Shaped[Array, "batch n"], context: Context, i: Array | None
) -> Float[Array, "batch"]:
    network, conditional = model.network, model.conditional
    if x.shape[1] != network.n:
        raise ValueError(f"x: expected rows of {network.n} columns, got {x.shape[1]}")
    kernel = jax.tree.leaves(network)[0]
    features = conditional.features(x).astype(kernel.dtype).reshape(len(x), -1)
    if i is None or isinstance(network, NADE):
        raw = network(features, context)
    else:
        raw = network(features, context, degrees=_degrees(model, i))
    return conditional.log_prob(x, raw).sum(-1)


def _degrees(model: RowModel, i: Array) -> Sequence[Array]:
    network = model.network
    widths = network.widths if isinstance(network, MADE) else ()
    key = jax.random.fold_in(jax.random.key(model.seed), i)
    return drawn_degrees(key, network.n, widths, shuffle=model.shuffle)
