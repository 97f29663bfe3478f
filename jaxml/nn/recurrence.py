# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks as modules: a layer in one direction, and stacks of layers in one or both."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jaxml.layers.dropout import dropout
from jaxml.layers.gru import GRU, gru
from jaxml.layers.lstm import LSTM, lstm
from jaxml.layers.simple_recurrence import RNN, rnn
from jaxml.types import Key

Kind = type[LSTM] | type[GRU] | type[RNN]
GATES: dict[Any, tuple[int, Callable]] = {LSTM: (4, lstm), GRU: (3, gru), RNN: (1, rnn)}
"""Blocks of a kernel, and the function that runs a layer."""


class RecurrentLayer(nnx.Module):
    """sₜ, yₜ = cell(sₜ₋₁, xₜ) in one direction.

    Args:
      kind: the parameters of a cell: `LSTM`, `GRU` or `RNN` of `jaxml.layers`.
      n_in: features of the input, or the number of tokens.
      width: features of the state.
      function: runs the layer; `lstm`, `gru` or `rnn` if None. Options are given to it:
        `partial(gru, reset_after=False)`.
      reverse: from the last element to the first.
      forget_bias: where the bias of an LSTM's forget gate starts; the others start at 0.
      kernel_init: initializer of W, gate by gate.
      recurrent_init: initializer of U, gate by gate.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for a kind that is none of these, or a size below 1.
    """

    def __init__(
        self,
        kind: Kind,
        n_in: int,
        width: int,
        *,
        function: Callable | None = None,
        reverse: bool = False,
        forget_bias: float = 1.0,
        kernel_init: nnx.Initializer = nnx.initializers.glorot_uniform(),  # noqa: B008
        recurrent_init: nnx.Initializer = nnx.initializers.orthogonal(),  # noqa: B008
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        if kind not in GATES:
            raise ValueError(f"kind: expected LSTM, GRU or RNN of jaxml.layers, got {kind!r}")
        for name, size in {"n_in": n_in, "width": width}.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        n_gates, default = GATES[kind]

        def blocks(init: nnx.Initializer, rows: int) -> nnx.Param:
            gates = [init(rngs.params(), (rows, width)) for _ in range(n_gates)]
            return nnx.Param(jnp.concatenate(gates, -1))

        self.kind, self.function = kind, function or default
        self.n_in, self.width, self.reverse, self.dtype = n_in, width, reverse, dtype
        self.kernel = blocks(kernel_init, n_in)
        self.recurrent = blocks(recurrent_init, width)
        bias = jnp.zeros(n_gates * width)
        self.bias = nnx.Param(bias.at[width : 2 * width].set(forget_bias) if kind is LSTM else bias)
        self.candidate_bias = nnx.Param(jnp.zeros(width)) if kind is GRU else None

    def __call__(
        self,
        x: Float[Array, "*batch t n_in"] | Int[Array, "*batch t"],
        state: Any = None,
        *,
        mask: Bool[Array, "*batch t"] | None = None,
        table: Float[Array, "tokens n_in"] | None = None,
    ) -> tuple[Any, Float[Array, "*batch t width"]]:
        """The last state and all outputs.

        Args:
          x: the sequence; without a table, indices stand for one-hot vectors.
          state: before the first element that is read, or 0.
          mask: False where a sequence has no element.
          table: an embedding: x holds indices of its rows. Where tokens repeat, table W has fewer
            rows than the sequence, and its rows are looked up instead of the table's.
        """
        fields = {name: getattr(self, name)[...] for name in self.kind._fields}
        tokens = jnp.issubdtype(x.dtype, jnp.integer)
        dtype = self.dtype or (fields["kernel"].dtype if tokens else x.dtype)
        fields, state, table = jax.tree.map(lambda a: a.astype(dtype), (fields, state, table))
        if table is not None and len(table) <= x.size:
            fields["kernel"] = table @ fields["kernel"]
        elif table is not None:
            x = table[x]
        elif not tokens:
            self._check(x.shape[-1])
            x = x.astype(dtype)
        parameters = self.kind(**fields)
        return self.function(x, parameters, state, mask=mask, reverse=self.reverse)

    def _check(self, n_in: int) -> None:
        if n_in != self.n_in:
            raise ValueError(f"x: expected {self.n_in} features, got {n_in}")


class Recurrent(nnx.Module):
    """Recurrent layers, each reading the outputs of the one before; [→y, ←y] in both directions.

    Args:
      kind: the parameters of a cell: `LSTM`, `GRU` or `RNN` of `jaxml.layers`.
      n_in: features of the input, or the number of tokens.
      widths: features of the states, one number a layer.
      bidirectional: every layer reads both ways, and its output has twice its width.
      dropout: share of the outputs that layers do not pass on, where a key is given.
      **options: of `RecurrentLayer`.
      rngs: keys for initialization.

    Raises:
      ValueError: for no layer, a size below 1, or a dropout outside of [0, 1).

    Reference: Graves, Mohamed and Hinton 2013, section 2, arXiv:1303.5778.
    """

    def __init__(
        self,
        kind: Kind,
        n_in: int,
        widths: Sequence[int],
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        if not widths or min(widths) < 1:
            raise ValueError(f"widths: expected positive sizes, got {tuple(widths)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), got {dropout}")
        ways = (False, True) if bidirectional else (False,)
        sizes = (n_in, *(len(ways) * width for width in widths[:-1]))
        self.dropout = dropout
        self.layers = nnx.List(
            nnx.List(
                RecurrentLayer(kind, a, b, reverse=reverse, rngs=rngs, **options)
                for reverse in ways
            )
            for a, b in zip(sizes, widths, strict=True)
        )

    def __call__(
        self,
        x: Float[Array, "*batch t n_in"] | Int[Array, "*batch t"],
        state: Sequence[Any] | None = None,
        *,
        mask: Bool[Array, "*batch t"] | None = None,
        table: Float[Array, "tokens n_in"] | None = None,
        key: Key | None = None,
    ) -> tuple[tuple[Any, ...], Float[Array, "*batch t n_out"]]:
        """The last states of all layers and directions, and the outputs of the last layer.

        Args:
          x: the sequence; without a table, indices stand for one-hot vectors.
          state: as returned, layer by layer and → before ←; or 0.
          mask: False where a sequence has no element; the outputs there are 0.
          table: an embedding: x holds indices of its rows.
          key: for dropout; without one nothing is dropped.
        """
        n_states = sum(len(ways) for ways in self.layers)
        if state is not None and len(state) != n_states:
            raise ValueError(f"state: expected {n_states} states, got {len(state)}")
        before = iter(state if state is not None else (None,) * n_states)
        after = []
        for i, ways in enumerate(self.layers):
            if i and key is not None:
                x = dropout(x, jax.random.fold_in(key, i), self.dropout)
            found = [layer(x, next(before), mask=mask, table=table) for layer in ways]
            after += [last for last, _ in found]
            x, table = jnp.concatenate([y for _, y in found], -1), None
        return tuple(after), x
