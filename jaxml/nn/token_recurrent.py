# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks on tokens, called as the causal transformer is."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxml.layers.dropout import dropout as drop
from jaxml.layers.embedding import lookup
from jaxml.layers.lstm import LSTM, LSTMState
from jaxml.nn.recurrence import Kind, Recurrent
from jaxml.types import Key

Tokens = Int[Array, "batch length"]
Context = Float[Array, "batch n_context"] | None
Output = Float[Array, "batch length n_out"]
State = tuple[Any, ...]


class TokenRecurrent(nnx.Module):
    """f(tokens, c): n_out numbers for every token, made of it and of those before it.

    The last layer begins at 0, so that logits say at first that all are equally likely.

    Args:
      kind: `LSTM`, `GRU` or `RNN` of `jaxml.layers`.
      n_tokens: how many there are.
      widths: features of the states, one number a layer.
      n_out: numbers of an output, such as the logits of the next token.
      n_embedding: features of a token that the first layer reads; with 0 it reads one-hot vectors,
        that is, rows of its own kernel.
      n_context: features of c, which is mapped into every embedding; without c it is 0.
      dropout: share of a layer's outputs that the next one, the output too, does not see where a
        key is given.
      dtype: dtype of the computation; parameters stay float32.
      rngs: keys for initialization; embeddings from N(0, 1).
      **options: of `RecurrentLayer`.

    Raises:
      ValueError: for sizes that do not fit and, when called, for a context that the network does
        not have.

    Reference: Graves 2013, section 2, arXiv:1308.0850.
    """

    def __init__(
        self,
        kind: Kind,
        n_tokens: int,
        widths: Sequence[int],
        n_out: int,
        *,
        n_embedding: int = 0,
        n_context: int = 0,
        dropout: float = 0.0,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        for name, size in {"n_tokens": n_tokens, "n_out": n_out}.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        if min(n_embedding, n_context) < 0 or (n_context and not n_embedding):
            raise ValueError(
                "n_embedding, n_context: expected at least 0, and an embedding where there is a "
                f"context, got {n_embedding} and {n_context}"
            )
        self.n_context, self.dropout, self.dtype = n_context, dropout, dtype
        options = {"dtype": dtype, "rngs": rngs, **options}
        shape = (n_tokens, n_embedding)
        unit, zeros = nnx.initializers.normal(1.0), nnx.initializers.zeros_init()
        self.tokens = nnx.Param(unit(rngs.params(), shape)) if n_embedding else None
        self.context = (
            nnx.Linear(n_context, n_embedding, use_bias=False, dtype=dtype, rngs=rngs)
            if n_context
            else None
        )
        self.layers = Recurrent(kind, n_embedding or n_tokens, widths, dropout=dropout, **options)
        self.last = nnx.Linear(widths[-1], n_out, kernel_init=zeros, dtype=dtype, rngs=rngs)

    @property
    def length(self) -> None:
        """None: sequences may be as long as one likes."""
        return None

    def __call__(
        self, tokens: Tokens, context: Context = None, *, key: Key | None = None
    ) -> Output:
        """f for every token; without a key nothing is dropped."""
        return self._run(tokens, None, context, key)[0]

    def empty_cache(self, batch: int, size: int | None = None) -> State:
        """The states that `extend` begins with: zeros, of one size however long a sequence is."""
        del size

        def zero(layer: Any) -> Any:
            h = jnp.zeros((batch, layer.width), layer.dtype or layer.kernel[...].dtype)
            return LSTMState(h, h) if layer.kind is LSTM else h

        return tuple(zero(layer) for ways in self.layers.layers for layer in ways)

    def extend(self, tokens: Tokens, cache: State, context: Context = None) -> tuple[Output, State]:
        """f for new tokens behind those that led to the states, and the states after them."""
        return self._run(tokens, cache, context, None)

    def _run(
        self, tokens: Tokens, state: State | None, context: Context, key: Key | None
    ) -> tuple[Output, State]:
        given = self.n_context if context is None else context.shape[-1]
        if given != self.n_context:
            raise ValueError(f"context: expected {self.n_context} features, got {given}")
        one, other = (None, None) if key is None else jax.random.split(key)
        table = None if self.tokens is None else self.tokens[...]
        if table is None or self.context is None or context is None:
            state, h = self.layers(tokens, state, table=table, key=one)
        else:
            x = lookup(table, tokens)
            x = x if self.dtype is None else x.astype(self.dtype)
            state, h = self.layers(x + self.context(context)[:, None], state, key=one)
        h = h if other is None else drop(h, other, self.dropout)
        return self.last(h), state
