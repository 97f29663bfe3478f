# SPDX-License-Identifier: Apache-2.0
"""What can this machine do at most? Matrix products, streaming, dispatch."""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import clock


class Limits(NamedTuple):
    """The measured limits of a device.

    Attributes:
      flops_per_second: of a large float32 matrix product.
      bytes_per_second: read and written by an update in place of an array beyond every cache.
      dispatch_seconds: a jitted call that does nothing.
    """

    flops_per_second: float
    bytes_per_second: float
    dispatch_seconds: float


def lines(effort: Any, limits: Limits, peer: Any) -> Iterator[dict[str, Any]]:
    """The limits themselves, which every other question is judged by."""
    del effort, peer
    yield {"case": "matrix product, float32", "GFLOP/s": round(limits.flops_per_second / 1e9, 1)}
    yield {"case": "streaming in place", "GB/s": round(limits.bytes_per_second / 1e9, 1)}
    yield {"case": "dispatch of a jitted call", "us": round(limits.dispatch_seconds * 1e6, 2)}


@cache
def measure(n: int = 1536, n_bytes: int = 2**27, rounds: int = 9) -> Limits:
    """The best of several rounds: a limit is what the machine can do undisturbed."""
    a = jax.random.normal(jax.random.key(0), (n, n))
    product = jax.jit(jnp.matmul)
    x = [jnp.ones(n_bytes // 4)]

    @partial(jax.jit, donate_argnums=0)
    def shift(x):
        return x + 1

    def stream():
        x[0] = shift(x[0])
        return x[0]

    nothing, one = jax.jit(lambda x: x), jnp.ones(())

    def dispatch():
        for _ in range(100):
            result = nothing(one)
        return result

    works = {"product": lambda: product(a, a), "stream": stream, "dispatch": dispatch}
    best = {name: times.min() for name, times in clock.interleaved(works, rounds).items()}
    return Limits(2 * n**3 / best["product"], 2 * n_bytes / best["stream"], best["dispatch"] / 100)
