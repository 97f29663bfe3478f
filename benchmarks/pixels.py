# SPDX-License-Identifier: Apache-2.0
"""What does a training step of a PixelCNN cost?

Command: python -m benchmarks --only pixels

Both networks are 7 x 7 mask A, residual blocks of 3 x 3 mask B with half the channels inside, and
two layers of one tap. The others multiply whole kernels by masks; ours leaves out the rows of a
window that masks hide.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.case import Case, Effort, rows
from benchmarks.families import steps
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.losses.likelihood import bernoulli
from jaxml.models.autoregressive import pixel
from jaxml.nn import PixelCNN
from jaxml.types import Array, Key


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of training."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Bits of 28 x 28 pixels."""
    side, n, width, n_blocks = (4, 2, 4, 1) if tiny else (28, 32, 64, 5)
    data = jax.random.bernoulli(jax.random.key(0), 0.2, (2 * n, side, side, 1)).astype(jnp.float32)
    network = PixelCNN((side, side, 1), width, n_blocks, 1, rngs=nnx.Rngs(0))
    ours = pixel.PixelModel(network, pixel.each(bernoulli()))
    yield Case(
        f"PixelCNN step, {n_blocks} blocks of {width} channels, batch {n}",
        {
            **steps(pixel.loss, ours, data, n, name="ours", n_steps=2),
            **steps(loss, Plain(width, n_blocks), data, n, name="flax", n_steps=2),
        },
        ("PixelCNN", {"side": side, "n": n, "width": width, "n_blocks": n_blocks}),
    )


def shown(window: int, n_in: int, n_out: int, *, self_too: bool) -> np.ndarray:
    """The mask of a whole window: rows above, and pixels to the left."""
    order = np.arange(window**2).reshape(window, window, 1, 1)
    middle = window**2 // 2
    return np.broadcast_to(
        order <= middle if self_too else order < middle, (*order.shape[:2], n_in, n_out)
    )


class Plain(nnx.Module):
    """The same network of Flax's masked convolutions."""

    def __init__(self, width: int, n_blocks: int):
        rngs = nnx.Rngs(0)

        def conv(n_in: int, n_out: int, window: int, *, self_too: bool = True) -> nnx.Conv:
            mask = shown(window, n_in, n_out, self_too=self_too)
            return nnx.Conv(n_in, n_out, (window, window), mask=jnp.asarray(mask), rngs=rngs)

        self.first = conv(1, width, 7, self_too=False)
        half = width // 2
        self.blocks = nnx.List(
            nnx.List([conv(width, half, 1), conv(half, half, 3), conv(half, width, 1)])
            for _ in range(n_blocks)
        )
        self.head, self.last = conv(width, width, 1), conv(width, 1, 1)

    def __call__(self, x: Array) -> Array:
        """The logits of every pixel."""
        x = self.first(x)
        for block in self.blocks:
            h = x
            for layer in block:
                h = layer(jax.nn.relu(h))
            x = x + h
        return self.last(jax.nn.relu(self.head(jax.nn.relu(x))))


def loss(model: Plain, x: Array, key: Key) -> tuple[Array, dict]:
    """−log p(x) in nats an image."""
    del key
    logits = model(x)
    return jnp.sum(jax.nn.softplus(logits) - x * logits) / len(x), {}
