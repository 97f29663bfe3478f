# SPDX-License-Identifier: Apache-2.0
"""What does a training step of a recurrent character model cost, called and inside the loop?

Command: python -m benchmarks --only recurrence
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.case import Case, Effort, rows
from benchmarks.families import steps
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.layers import GRU, LSTM
from jaxml.nn.recurrence import Recurrent
from jaxml.types import Array, Key, Model

N_TOKENS = 65


class Ours(nnx.Module):
    """An embedding, recurrent layers, and logits of the next token."""

    def __init__(self, kind: Any, width: int, n_layers: int, *, rngs: nnx.Rngs):
        self.table = nnx.Param(jax.random.normal(rngs.params(), (N_TOKENS, width)))
        self.body = Recurrent(kind, width, (width,) * n_layers, rngs=rngs)
        self.head = nnx.Linear(width, N_TOKENS, rngs=rngs)

    def __call__(self, tokens: Array) -> Array:
        """Logits after every token."""
        return self.head(self.body(tokens, table=self.table[...])[1])


class Plain(nnx.Module):
    """The same of Flax's cells, with the parameters of `Ours`."""

    def __init__(self, ours: Ours, *, rngs: nnx.Rngs):
        self.table, self.head = nnx.Embed(N_TOKENS, ours.table.shape[1], rngs=rngs), ours.head
        self.table.embedding[...] = ours.table[...]
        self.cells = nnx.List()
        for (layer,) in ours.body.layers:
            lstm = layer.kind is LSTM
            cell = (nnx.OptimizedLSTMCell if lstm else nnx.GRUCell)(
                layer.n_in, layer.width, rngs=rngs
            )
            cell.dense_i.kernel[...] = layer.kernel[...]
            cell.dense_h.kernel[...] = layer.recurrent[...]
            bias = (cell.dense_h if lstm else cell.dense_i).bias
            assert bias is not None
            bias[...] = layer.bias[...]
            self.cells.append(cell)

    def __call__(self, tokens: Array) -> Array:
        """Logits after every token."""
        x = self.table(tokens).swapaxes(0, 1)
        for cell in self.cells:
            zero = jnp.zeros((x.shape[1], cell.hidden_features))
            carry: Any = zero if isinstance(cell, nnx.GRUCell) else (zero, zero)
            _, x = jax.lax.scan(cell, carry, x)
        return self.head(x).swapaxes(0, 1)


def loss(model: Model, tokens: Array, key: Key) -> tuple[Array, dict]:
    """The mean cross-entropy of the next token in nats."""
    del key
    costs = optax.softmax_cross_entropy_with_integer_labels(model(tokens[:, :-1]), tokens[:, 1:])
    return jnp.mean(costs), {}


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all models."""
    return rows(cases(effort.tiny), effort, limits, peer)


def models(tiny: bool) -> Iterator[tuple[str, Ours, Plain]]:
    """Every model in both forms."""
    width = 8 if tiny else 256
    kinds: Sequence[tuple[str, Any, int]] = (("LSTM", LSTM, 1), ("GRU", GRU, 1), ("LSTM", LSTM, 2))
    for name, kind, n_layers in kinds:
        ours = Ours(kind, width, n_layers, rngs=nnx.Rngs(0))
        yield name, ours, Plain(ours, rngs=nnx.Rngs(1))


def cases(tiny: bool) -> Iterator[Case]:
    """Characters in pieces of equal length."""
    n, length = (2, 4) if tiny else (64, 128)
    tokens = jax.random.randint(jax.random.key(3), (4 * n, length + 1), 0, N_TOKENS)
    for name, ours, plain in islice(models(tiny), 1 if tiny else None):
        n_layers, width = len(ours.body.layers), ours.table.shape[1]
        yield Case(
            f"{name} character model step, {n_layers} x {width}, batch {n}x{length}",
            {
                **steps(loss, ours, tokens, n, name="ours", n_steps=4),
                **steps(loss, plain, tokens, n, name="flax", n_steps=4),
            },
            (
                "character model",
                {
                    "kind": name,
                    "n": n,
                    "length": length,
                    "width": width,
                    "n_layers": n_layers,
                    "n_tokens": N_TOKENS,
                },
            ),
        )
