# SPDX-License-Identifier: Apache-2.0
"""A causal transformer as one would write it with Flax alone: what ours is compared to."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxml.types import Array, Key


class PlainBlock(nnx.Module):
    """Attention and an MLP, each behind a layer norm and added."""

    def __init__(self, width: int, n_heads: int, *, rngs: nnx.Rngs):
        self.n_heads = n_heads
        self.before, self.between = (nnx.LayerNorm(width, rngs=rngs) for _ in range(2))
        self.qkv = nnx.Linear(width, 3 * width, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """The block's output."""
        heads = self.qkv(self.before(x)).reshape(*x.shape[:2], 3 * self.n_heads, -1)
        q, k, v = jnp.split(heads, 3, axis=2)
        y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.reshape(x.shape))
        return x + self.down(jax.nn.gelu(self.up(self.between(x))))


class PlainTransformer(nnx.Module):
    """Logits of the next token, with learned positions."""

    def __init__(
        self, n_tokens: int, width: int, n_layers: int, n_heads: int, n_out: int, length: int
    ):
        rngs = nnx.Rngs(0)
        self.length = length
        self.tokens = nnx.Embed(n_tokens, width, rngs=rngs)
        self.positions = nnx.Embed(length, width, rngs=rngs)
        self.blocks = nnx.List(PlainBlock(width, n_heads, rngs=rngs) for _ in range(n_layers))
        self.norm, self.last = (
            nnx.LayerNorm(width, rngs=rngs),
            nnx.Linear(width, n_out, rngs=rngs),
        )

    def __call__(self, tokens: Array) -> Array:
        """Logits after every token."""
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))[None]
        for block in self.blocks:
            x = block(x)
        return self.last(self.norm(x))


def loss(model: PlainTransformer, tokens: Array, key: Key) -> tuple[Array, dict]:
    """The mean cross-entropy of every token given those before it, in nats."""
    del key
    read = jnp.pad(
        tokens[:, :-1], ((0, 0), (1, 0)), constant_values=model.tokens.num_embeddings - 1
    )
    costs = optax.softmax_cross_entropy_with_integer_labels(model(read), tokens)
    return jnp.mean(costs), {}
