# SPDX-License-Identifier: Apache-2.0
"""Sums over positions of shifted data, a block of rows at a time.

XLA's CPU compiler writes x − s to memory before it sums it, and again for every sum. A loop over
blocks of rows adds them up element by element instead, in sums that stay in the cache: each array
is read once and nothing is written.
"""

import jax.numpy as jnp
from jax import lax

from jaxml.types import Array

KEPT = 2**13
"""Elements of a sum that is carried through the loop: 32 kB."""
UNROLLED = 4
"""Blocks that are added in one turn."""
FEW = 2**16
"""Below this number of elements starting a loop costs more than it saves."""


def products(x: Array, shift: Array, g: Array | None) -> tuple[Array, Array]:
    """Σ g and Σ (x − s) g over p; g is x − s if None.

    Args:
      x: `n p c`.
      shift: s, `n 1 c`.
      g: weights, as `x`.

    Returns:
      Both sums, `n 1 c`.
    """
    n, rows, c = x.shape
    block = _block(rows, KEPT // max(n * c, 1))
    turns = rows // (block * UNROLLED)
    if x.size < FEW or turns < 2 or block < 2:  # single rows of many examples lie too far apart
        return plain(x, shift, g)

    def weigh(start: Array | int, n_rows: int) -> tuple[Array, Array]:
        d = lax.dynamic_slice_in_dim(x, start, n_rows, 1) - shift
        weight = d if g is None else lax.dynamic_slice_in_dim(g, start, n_rows, 1)
        return weight, d * weight

    def turn(i: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        for j in range(UNROLLED):
            parts = weigh((i * UNROLLED + j) * block, block)
            sums = sums[0] + parts[0], sums[1] + parts[1]
        return sums

    zero = jnp.zeros((n, block, c), x.dtype)
    sums = lax.fori_loop(0, turns, turn, (zero, zero))
    done = turns * UNROLLED * block
    first, second = (total.sum(1, keepdims=True) for total in sums)
    if done < rows:
        rest = weigh(done, rows - done)
        first, second = (
            first + rest[0].sum(1, keepdims=True),
            second + rest[1].sum(1, keepdims=True),
        )
    return first, second


def _block(rows: int, most: int) -> int:
    """Rows of a block: the largest number that leaves no rest, unless that is far from `most`."""
    most = max(1, min(most, rows // UNROLLED))
    whole = (b for b in range(most, most // 2, -1) if rows % (b * UNROLLED) == 0)
    return next(whole, most)


def plain(x: Array, shift: Array, g: Array | None) -> tuple[Array, Array]:
    """The same as two reductions."""
    d = x - shift
    g = d if g is None else g
    return g.sum(1, keepdims=True), (d * g).sum(1, keepdims=True)
