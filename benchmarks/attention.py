# SPDX-License-Identifier: Apache-2.0
"""Does causal attention in blocks of rows beat the whole matrix, and `jax.nn`'s?

Command: python -m benchmarks --only attention
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.layers import attention
from jaxml.types import Array


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all cases."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """As many tokens in all at every length, so that only the length counts."""
    for length in (8,) if tiny else (64, 256, 1024):
        n, heads, features = (1, 2, 4) if tiny else (8192 // length // 2, 4, 64)
        shape = (n, length, heads, features)
        args = [jax.random.normal(jax.random.key(i), shape) for i in range(3)]
        yield Case(
            f"causal attention, {n}x{length}, {heads} heads of {features}",
            {
                "ours": gradients(partial(attention, causal=True), *args),
                "whole matrix": gradients(whole, *args),
                "jax.nn": gradients(partial(jax.nn.dot_product_attention, is_causal=True), *args),
            },
            ("attention", {"n": n, "length": length, "heads": heads, "features": features}),
        )


def whole(q: Array, k: Array, v: Array) -> Array:
    """The formula as printed."""
    logits = jnp.einsum("nthd,nshd->nhts", q, k) / jnp.sqrt(q.shape[-1]).astype(q.dtype)
    seen = jnp.tril(jnp.ones(logits.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(seen, logits, -jnp.inf), axis=-1)
    return jnp.einsum("nhts,nshd->nthd", weights, v)


def gradients(function: Callable, *args: Array) -> Work:
    """Forward and backward."""
    return Work(jax.grad(lambda *a: jnp.sum(jnp.square(function(*a))), argnums=(0, 1, 2)), args)
