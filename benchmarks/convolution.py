# SPDX-License-Identifier: Apache-2.0
"""Do our convolutions and their gradients beat XLA's own, called and inside a compiled loop?

Command: python -m benchmarks --only convolution
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.layers import convolution
from jaxml.types import Array

REPETITIONS = 4
"""Of the work inside a loop; the native gradients take seconds each there."""


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all cases."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Forward alone, then both gradients: plain, strided, depthwise, and narrow on one side."""
    yield forward(2 if tiny else 32, 6 if tiny else 28, 4 if tiny else 64)
    for window, stride, groups in ((3, 1, False), (3, 2, False), (4, 2, False), (3, 1, True)):
        yield gradients(
            2 if tiny else 16,
            6 if tiny else 32,
            4 if tiny else 32,
            window,
            stride,
            depthwise=groups,
        )
    yield gradients(2 if tiny else 16, 8 if tiny else 32, 4 if tiny else 64, 7, 1, depthwise=True)
    # The first and the last convolution of a network over images.
    n, size, wide = (2, 6, 8) if tiny else (32, 28, 64)
    for channels, features in ((1, wide), (wide, 2)):
        yield gradients(n, size, channels, 3, 1, features=features)


def forward(n: int, size: int, channels: int) -> Case:
    """A 3x3 convolution that keeps its size."""
    x = jax.random.normal(jax.random.key(0), (n, size, size, channels))
    kernel = 0.1 * jax.random.normal(jax.random.key(1), (3, 3, channels, channels))
    return Case(
        f"forward 3x3, {n}x{size}x{size}x{channels}",
        {
            "ours": Work(lambda x, k: convolution(x, k, padding=1), (x, kernel)),
            "native": Work(native(1, 1, 1), (x, kernel)),
        },
        ("convolution forward", {"n": n, "size": size, "channels": channels, "window": 3}),
    )


def gradients(
    n: int,
    size: int,
    channels: int,
    window: int,
    stride: int,
    *,
    depthwise: bool = False,
    features: int | None = None,
) -> Case:
    """Value, input gradient and kernel gradient of Σy², to as many features as channels if None."""
    features = channels if features is None else features
    groups, padding = channels if depthwise else 1, (window - 1) // 2
    x = jax.random.normal(jax.random.key(0), (n, size, size, channels))
    shape = (window, window, channels // groups, features)
    kernel = 0.1 * jax.random.normal(jax.random.key(1), shape)

    def ours(x: Array, kernel: Array) -> Array:
        return convolution(x, kernel, stride=stride, padding=padding, groups=groups)

    plain = native(stride, padding, groups)
    sizes = {"n": n, "size": size, "channels": channels, "window": window, "stride": stride}
    change = "" if features == channels else f" to {features}"
    return Case(
        f"{'depthwise' if depthwise else 'gradients'} {window}x{window}, stride {stride}, "
        f"{n}x{size}x{size}x{channels}{change}",
        {
            "ours": Work(both(ours), (x, kernel)),
            "ours in a loop": looped(ours, x, kernel),
            "native": Work(both(plain), (x, kernel)),
            "native in a loop": looped(plain, x, kernel, 2),  # up to ten seconds each
        },
        ("convolution", {**sizes, "features": features, "groups": groups}),
    )


def native(stride: int, padding: int, groups: int) -> Callable[[Array, Array], Array]:
    """The operation of JAX, channels last."""

    def apply(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    return apply


def both(function: Callable[[Array, Array], Array]) -> Callable:
    """Forward and backward."""
    return jax.grad(lambda x, k: jnp.sum(jnp.square(function(x, k))), argnums=(0, 1))


def looped(
    function: Callable[[Array, Array], Array], x: Array, kernel: Array, length: int = REPETITIONS
) -> Work:
    """The same as training does it: each repetition needs the one before."""

    def work(x: Array, kernel: Array) -> tuple[Array, Array]:
        def once(carry, _):
            dx, dk = both(function)(*carry)
            return (carry[0] - 1e-6 * dx, carry[1] - 1e-6 * dk), None

        return jax.lax.scan(once, (x, kernel), None, length=length)[0]

    return Work(work, (x, kernel), units=length)
