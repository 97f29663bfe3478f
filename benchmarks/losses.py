# SPDX-License-Identifier: Apache-2.0
"""Do our losses cost less than the plain form of their formula?

Command: python -m benchmarks --only losses
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.numerics import softplus
from jaxml.probability import bernoulli, discretized_logistic


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all cases."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Value and gradient of the elementwise likelihoods, on the pixels of a batch."""
    shape = (4, 8) if tiny else (128, 784)
    x = jax.random.bernoulli(jax.random.key(0), 0.3, shape).astype(jnp.float32)
    a = 3 * jax.random.normal(jax.random.key(1), shape)

    def plain_bernoulli(x, a):
        return x * a - jnp.logaddexp(a, 0.0)

    yield compare("Bernoulli log p", bernoulli.log_prob, "x·a - logaddexp", plain_bernoulli, x, a)
    yield compare(
        "softplus",
        lambda x, a: softplus(a),
        "jax.nn.softplus",
        lambda x, a: jax.nn.softplus(a),
        x,
        a,
    )
    levels = 2 * jnp.round(127.5 * (jnp.tanh(a) + 1)) / 255 - 1

    def plain_logistic(x, mean):
        """The difference of two sigmoids, with the open ends and the floor of PixelCNN++."""
        upper = jax.nn.sigmoid((x + 1 / 255 - mean) * jnp.exp(2.0))
        lower = jax.nn.sigmoid((x - 1 / 255 - mean) * jnp.exp(2.0))
        inside = jnp.where(x < -0.999, upper, jnp.where(x > 0.999, 1 - lower, upper - lower))
        return jnp.log(jnp.maximum(inside, 1e-12))

    def logistic(x, mean):
        return discretized_logistic.log_prob(x, mean, jnp.full_like(mean, -2.0))

    yield compare(
        "discretized logistic log p",
        logistic,
        "difference of sigmoids",
        plain_logistic,
        levels,
        0.1 * a,
    )


def compare(name: str, ours: Any, other: str, plain: Any, x: Any, a: Any) -> Case:
    """Value and gradient of both forms."""

    def work(function):
        return Work(jax.value_and_grad(lambda a, x: jnp.sum(function(x, a))), (a, x))

    return Case(f"{name}, {'x'.join(map(str, a.shape))}", {"ours": work(ours), other: work(plain)})
