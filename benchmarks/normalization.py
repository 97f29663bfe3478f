# SPDX-License-Identifier: Apache-2.0
"""Do normalizations with moments in one reading and one fused pass beat Flax's?

Command: python -m benchmarks --only normalization
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.layers import batch_norm, group_norm, layer_norm
from jaxml.types import Array


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all cases."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """The normalizations of U-Nets, of DCGANs and of transformers, with what follows them."""
    n, size, channels, groups = (2, 4, 4, 2) if tiny else (32, 28, 64, 8)
    x = 1 + jax.random.normal(jax.random.key(0), (n, size, size, channels))
    scale, bias = jnp.ones(channels), jnp.zeros(channels)
    sizes = {"n": n, "size": size, "channels": channels}
    shape = f"{n}x{size}x{size}x{channels}"
    flax = nnx.GroupNorm(channels, groups, epsilon=1e-5, rngs=nnx.Rngs(0))
    yield Case(
        f"group norm + SiLU, {shape}",
        {
            "ours": gradients(
                lambda x, a, b: jax.nn.silu(group_norm(x, a, b, groups=groups)), x, scale, bias
            ),
            "flax": gradients(with_parameters(flax, jax.nn.silu), x, scale, bias),
        },
        ("group norm, SiLU", {**sizes, "groups": groups}),
    )
    zero, one = jnp.zeros(channels), jnp.ones(channels)
    flax = nnx.BatchNorm(channels, epsilon=1e-5, rngs=nnx.Rngs(0))
    yield Case(
        f"batch norm + ReLU, {shape}",
        {
            "ours": gradients(
                lambda x, a, b: jax.nn.relu(batch_norm(x, zero, one, a, b).y), x, scale, bias
            ),
            "flax": gradients(with_parameters(flax, jax.nn.relu), x, scale, bias),
        },
        ("batch norm, ReLU", sizes),
    )
    tokens = x.reshape(n, size * size, channels)
    flax = nnx.LayerNorm(channels, epsilon=1e-5, rngs=nnx.Rngs(0))
    yield Case(
        f"layer norm, {n}x{size * size}x{channels}",
        {
            "ours": gradients(layer_norm, tokens, scale, bias),
            "flax": gradients(with_parameters(flax, lambda y: y), tokens, scale, bias),
        },
    )


def gradients(function: Callable, *args: Array) -> Work:
    """All gradients of Σy²."""
    which = tuple(range(len(args)))
    return Work(jax.grad(lambda *a: jnp.sum(jnp.square(function(*a))), argnums=which), args)


def with_parameters(module: Any, activation: Callable) -> Callable:
    """A module of Flax as a function of its input and its two parameters."""
    graph, _, rest = nnx.split(module, nnx.Param, ...)

    def apply(x: Array, scale: Array, bias: Array) -> Array:
        params = {"scale": scale, "bias": bias}
        return activation(nnx.merge(graph, params, rest, copy=True)(x))

    return apply
