# SPDX-License-Identifier: Apache-2.0
"""Sequences of rows, such as the notes that sound at a time: p(x) = Π_t Π_i p(x_ti | x_<t, x_t<i).

A recurrent network reads the frames so far, and a model of rows draws the next one given its state.
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Shaped

from jaxml.layers.dropout import dropout as drop
from jaxml.models.autoregressive import rows
from jaxml.models.autoregressive.rows import RowModel
from jaxml.nn.recurrence import Recurrent
from jaxml.types import Batch, Key, Metrics, Scalar

Frames = Shaped[Array, "batch t n"]
Mask = Bool[Array, "_ _"] | None


class FrameModel(nnx.Module):
    """p(x) = Π_t p(x_t | h_t), h_t the output of a recurrent network behind x_<t.

    Args:
      network: reads frames as numbers, one way; its state is 0 in front of the first.
      row: p(x_t | h): its network takes the output of `network` as context.
      dropout: share of h that the row model does not see where a key is given.

    Raises:
      ValueError: for a network that reads both ways, an ensemble of rows, and a dropout outside
        of [0, 1).

    Reference: Boulanger-Lewandowski, Bengio and Vincent 2012, section 4, arXiv:1206.6392, the
    RNN-NADE; here the state also passes through every gate of an LSTM.
    """

    def __init__(self, network: Recurrent, row: RowModel, *, dropout: float = 0.0):
        if any(len(ways) > 1 for ways in network.layers):
            raise ValueError("network: expected one that reads forwards only")
        if row.n_masks:
            raise ValueError(f"row: expected one law, got an ensemble of {row.n_masks}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), got {dropout}")
        self.network, self.row, self.dropout = network, row, dropout


def loss(model: FrameModel, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−log p(x) in nats a frame: over all frames of the batch that exist, each alike.

    Args:
      model: the model.
      batch: x, or `{"x": x, "mask": mask}`.
      key: for dropout, if the model has any.
    """
    x, mask = (batch["x"], batch.get("mask")) if isinstance(batch, Mapping) else (batch, None)
    each = _by_frame(model, x, mask, key)
    n = each.size if mask is None else jnp.maximum(mask.sum(), 1).astype(each.dtype)
    value = -each.sum() / n
    return value, {"log_prob": each.sum(1).mean(), "bits_per_frame": value / math.log(2)}


def log_prob(model: FrameModel, x: Frames, *, mask: Mask = None) -> Float[Array, "batch"]:
    """log p(x) in nats a sequence; exact.

    Args:
      model: the model.
      x: sequences of frames.
      mask: True where a frame exists; padding stands behind.
    """
    return log_prob_by_frame(model, x, mask=mask).sum(1)


def log_prob_by_frame(
    model: FrameModel, x: Frames, *, mask: Mask = None
) -> Float[Array, "batch t"]:
    """log p(x_t | x_<t) of every frame, in nats; 0 where there is none.

    Args:
      model: the model.
      x: sequences of frames.
      mask: True where a frame exists.
    """
    return _by_frame(model, x, mask, None)


def sample(
    model: FrameModel,
    key: Key,
    n: int,
    *,
    length: int,
    prompt: Shaped[Array, "_ m columns"] | None = None,
) -> Float[Array, "n length columns"]:
    """n sequences of frames, or what follows a prompt.

    Args:
      model: the model.
      key: frame t draws from `fold_in(key, t)`.
      n: how many.
      length: frames of a sequence, the prompt among them.
      prompt: frames that the sequences begin with, a row a draw.

    Raises:
      ValueError: if the prompt has another number of rows, or fills the sequences.
    """
    columns = model.row.network.n
    before = jnp.zeros((n, 0, columns)) if prompt is None else prompt.astype(jnp.float32)
    m = before.shape[1]
    if before.shape != (n, m, columns) or not 0 <= m < length:
        raise ValueError(
            f"prompt, length: expected {n} rows of less than {length} frames of {columns}, "
            f"got {before.shape}"
        )
    read = jnp.concatenate([jnp.zeros((n, 1, columns)), before], axis=1)
    state, h = model.network(read)

    def step(carry: tuple, t: Array) -> tuple[tuple, Array]:
        state, h = carry
        x = rows.sample(model.row, jax.random.fold_in(key, t), n, context=h).astype(read.dtype)
        state, h = model.network(x[:, None], state)
        return (state, h[:, 0]), x

    _, drawn = jax.lax.scan(step, (state, h[:, -1]), jnp.arange(m, length))
    return jnp.concatenate([before, jnp.moveaxis(drawn, 0, 1)], axis=1)


def _by_frame(model: FrameModel, x: Frames, mask: Mask, key: Key | None) -> Float[Array, "batch t"]:
    batch, t, n = x.shape
    if mask is not None and mask.shape != (batch, t):
        raise ValueError(f"mask: expected shape {(batch, t)}, got {mask.shape}")
    kernel = jax.tree.leaves(model.row.network)[0]
    read = jnp.pad(x[:, :-1].astype(kernel.dtype), ((0, 0), (1, 0), (0, 0)))
    one, other = (None, None) if key is None else jax.random.split(key)
    _, h = model.network(read, key=one)
    h = h if other is None else drop(h, other, model.dropout)
    flat, seen = x.reshape(batch * t, n), h.reshape(batch * t, -1)
    found = rows.log_prob(model.row, flat, context=seen).reshape(batch, t)
    return found if mask is None else jnp.where(mask, found, 0.0)
