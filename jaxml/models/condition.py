# SPDX-License-Identifier: Apache-2.0
"""What a conditional model is conditioned on, and how it travels in a batch."""

from collections.abc import Mapping

from jaxtyping import Array, Float, Shaped

from jaxml.numerics import widen
from jaxml.types import Batch

Context = Float[Array, "batch *context"] | None
"""What a conditional model is conditioned on, such as one-hot labels; None if it is not."""


def unpack(batch: Batch) -> tuple[Shaped[Array, "batch *event"], Context]:
    """`x` or `{"x": x, "y": context}` as (x, context)."""
    if not isinstance(batch, Mapping):
        return batch, None
    return batch["x"], None if batch.get("y") is None else widen(batch["y"])
