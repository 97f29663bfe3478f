# SPDX-License-Identifier: Apache-2.0
"""What does a training step of each family cost, called from Python and inside the loop?

Command: python -m benchmarks --only families
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import plain
from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.data import in_memory
from jaxml.losses.likelihood import bernoulli
from jaxml.models import vae
from jaxml.training import descend, loop
from jaxml.types import Array, Loss, Model, Rule


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all families."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Every family at the size of its experiment."""
    n, width, n_latent = (4, 8, 2) if tiny else (128, 256, 32)
    flat = jax.random.bernoulli(jax.random.key(0), 0.2, (4 * n, 784)).astype(jnp.float32)
    sizes = {"n": n, "width": width, "n_latent": n_latent}
    ours = vae.mlp(784, (width, width), n_latent, bernoulli(), rngs=nnx.Rngs(0))
    yield Case(
        f"MLP-VAE step, batch {n}, width {width}",
        {
            **steps(vae.loss, ours, flat, n, name="ours"),
            **steps(plain.loss, plain.mlp(width, n_latent), flat, n, name="flax"),
        },
        ("MLP-VAE", sizes),
    )
    channels = (2, 4) if tiny else (32, 64)
    images = flat.reshape(-1, 28, 28, 1)
    ours = vae.convolutional((28, 28, 1), channels, width, n_latent, bernoulli(), rngs=nnx.Rngs(0))
    flax = plain.convolutional(channels, width, n_latent)
    yield Case(
        f"convolutional VAE step, batch {n}, channels {channels}",
        {
            **steps(vae.loss, ours, images, n, name="ours"),
            **steps(plain.loss, flax, images, n, name="flax", n_steps=2),
        },
        ("convolutional VAE", {**sizes, "channels": channels}),
    )


def steps(
    loss: Loss, model: Model, data: Array, n: int, *, name: str, n_steps: int = 8
) -> dict[str, Work]:
    """One step of Adam as a call of its own, and as a part of the loop of `fit`."""
    return updates(descend(loss, optax.adam(1e-3)), model, data, n, name=name, n_steps=n_steps)


def updates(
    rule: Rule, model: Model, data: Array, n: int, *, name: str, n_steps: int
) -> dict[str, Work]:
    """One update of a rule on n examples, called and in the loop."""
    key = jax.random.key(1)
    batches = in_memory(data, n, jax.random.key(2))
    leaves, structure = jax.tree.flatten((model, rule.init(model, key)))
    leaves = [jnp.array(leaf, jnp.asarray(leaf).dtype) for leaf in leaves]
    feed = batches.feed(0, n_steps, n_steps)
    compiled = loop.build(rule.update, batches.take, structure, n_steps)

    def called(leaves, key, feed, step):
        model, state = jax.tree.unflatten(structure, leaves)
        batch = batches.take(feed, step, jnp.int32(0))
        model, state, metrics = rule.update(model, state, batch, jax.random.fold_in(key, step))
        return jax.tree.leaves((model, state)), metrics

    first, count = np.int32(0), np.int32(n_steps)
    return {
        name: Work(called, (leaves, key, feed, first), donated=True),
        f"{name} in a loop": Work(
            compiled.run, (leaves, key, feed, first, count), donated=True, units=n_steps
        ),
    }
