# SPDX-License-Identifier: Apache-2.0
"""What does a step of contrastive divergence cost, the chains of its draws included?

Command: python -m benchmarks --only energies

The network is two strided convolutions and two linear maps on 28 x 28 images; chains begin at the
data and take 20 clipped Langevin steps, each of them a slope of the energy for its input.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks import plain
from benchmarks.case import Case, Effort, rows
from benchmarks.families import steps
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.models import energy
from jaxml.nn import ImageEncoder
from jaxml.types import Array, Key


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of training."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Images in [−1, 1]."""
    n, width, channels, n_walk = (2, 4, (2, 2), 2) if tiny else (64, 256, (32, 64), 20)
    data = jax.random.uniform(jax.random.key(0), (2 * n, 28, 28, 1), minval=-1.0)
    ours = energy.EnergyModel(ImageEncoder((28, 28, 1), channels, width, 1, rngs=nnx.Rngs(0)))
    flax = energy.EnergyModel(plain.Network(*plain.downward(channels, width, 1, nnx.Rngs(0))))
    contrastive = partial(energy.contrastive_loss, walk=partial(energy.langevin, n_steps=n_walk))
    yield Case(
        f"contrastive divergence step, {n_walk} Langevin steps, batch {n}, channels {channels}",
        {
            **steps(contrastive, ours, data, n, name="ours", n_steps=2),
            **steps(partial(loss, n_walk=n_walk), flax, data, n, name="flax", n_steps=2),
        },
        (
            "contrastive divergence",
            {"n": n, "width": width, "channels": channels, "n_walk": n_walk},
        ),
    )


def loss(model: energy.EnergyModel, x: Array, key: Key, *, n_walk: int) -> tuple[Array, dict]:
    """The same with nothing of ours but the container of the network."""

    def slope(x: Array) -> Array:
        return jax.grad(lambda x: jnp.sum(model.network(x)))(x)

    def step(x: Array, i: Array) -> tuple[Array, None]:
        eps = jax.random.normal(jax.random.fold_in(key, i), x.shape)
        x = jnp.clip(x + 0.005 * eps, -1.0, 1.0)
        return jnp.clip(x - 10.0 * jnp.clip(slope(x), -0.03, 0.03), -1.0, 1.0), None

    fake = jax.lax.stop_gradient(jax.lax.scan(step, x, jnp.arange(n_walk))[0])
    real_energy, fake_energy = model.network(x), model.network(fake)
    size = jnp.mean(jnp.square(real_energy) + jnp.square(fake_energy))
    return jnp.mean(real_energy - fake_energy) + 0.1 * size, {}
