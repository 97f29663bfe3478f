# SPDX-License-Identifier: Apache-2.0
"""The tiny MLP-VAE on which overheads show."""

import jax
import optax
from flax import nnx

from jaxml.data import in_memory
from jaxml.losses.likelihood import bernoulli
from jaxml.models import vae
from jaxml.training import descend
from jaxml.types import Array, Batches, Key, Model, Rule


def make(key: Key, width: int) -> Model:
    """784-width-width-8 and back; the data are bits."""
    return vae.mlp(784, (width, width), 8, bernoulli(), rngs=nnx.Rngs(key))


def bits() -> Array:
    """Random bits: what they mean does not matter to the clock."""
    return jax.random.bernoulli(jax.random.key(0), 0.2, (2048, 784)).astype("float32")


def data(batch_size: int = 64) -> Batches:
    """The bits in batches."""
    return in_memory(bits(), batch_size, jax.random.key(1))


RULE: Rule = descend(vae.loss, optax.adam(1e-3))


def stack(key: Key, width: int, size: int) -> Array:
    """An ensemble of models under `vmap`."""
    return jax.vmap(lambda k: make(k, width))(jax.random.split(key, size))
