# SPDX-License-Identifier: Apache-2.0
"""What does a training step of a transformer on characters cost, and what a text drawn?

Command: python -m benchmarks --only language

Sequences are drawn from the start symbol on, all in one program: the transformer with keys and
values kept, the LSTM with its state.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.families import steps
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from benchmarks.plain_transformer import PlainTransformer, loss
from jaxml.layers import LSTM
from jaxml.models.autoregressive import language
from jaxml.nn import TokenRecurrent, Transformer

N_TOKENS = 65


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of training and of drawing."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """The transformer of nanoGPT's small recipe, and an LSTM of 512 features."""
    n, length, width, n_layers, n_heads = (2, 4, 8, 1, 2) if tiny else (12, 64, 128, 4, 4)
    sizes = {"length": length, "width": width, "n_layers": n_layers, "n_heads": n_heads}
    sizes |= {"n_tokens": N_TOKENS}
    attentive = model(length, width, n_layers, n_heads)
    tokens = jax.random.randint(jax.random.key(0), (4 * n, length), 0, N_TOKENS)
    flax = PlainTransformer(N_TOKENS + 1, width, n_layers, n_heads, N_TOKENS, length)
    yield Case(
        f"transformer step, {n_layers} x {width}, batch {n}x{length}",
        {
            **steps(language.loss, attentive, tokens, n, name="ours", n_steps=8),
            **steps(loss, flax, tokens, n, name="flax", n_steps=8),
        },
        ("transformer step", {**sizes, "n": n}),
    )
    length, wide = (4, 8) if tiny else (256, 512)
    sizes |= {"length": length}
    network = TokenRecurrent(LSTM, N_TOKENS + 1, (wide,), N_TOKENS, rngs=nnx.Rngs(0))
    recurrent = language.LanguageModel(network, N_TOKENS, length)
    of_lstm = {"length": length, "width": wide, "n_tokens": N_TOKENS}
    for n in (1, 2) if tiny else (1, 16):
        yield drawing(
            f"transformer, {n_layers} x {width}",
            model(length, width, n_layers, n_heads),
            n,
            ("transformer sampling", {**sizes, "n": n}),
        )
        yield drawing(f"LSTM, {wide}", recurrent, n, ("LSTM sampling", {**of_lstm, "n": n}))


def model(length: int, width: int, n_layers: int, n_heads: int) -> language.LanguageModel:
    """With learned positions and an MLP of GELUs, as the peer has them."""
    network = Transformer(
        N_TOKENS + 1,
        width,
        n_layers,
        n_heads,
        N_TOKENS,
        length=length,
        causal=True,
        rngs=nnx.Rngs(0),
    )
    return language.LanguageModel(network, N_TOKENS, length)


def drawing(name: str, model: language.LanguageModel, n: int, torch: tuple[str, Any]) -> Case:
    """n whole sequences, in one program."""
    length = model.length

    def whole(model: language.LanguageModel, key: Any) -> jax.Array:
        """Every character by a pass over all that came before."""

        def step(x: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
            read = jnp.concatenate([jnp.full((n, 1), N_TOKENS, jnp.int32), x[:, :-1]], axis=1)
            logits = jnp.take(model.network(read), i, axis=1)
            drawn = jax.random.categorical(jax.random.fold_in(key, i), logits)
            return x.at[:, i].set(drawn.astype(jnp.int32)), None

        zeros = jnp.zeros((n, length), jnp.int32)
        return jax.lax.scan(step, zeros, jnp.arange(length))[0]

    args = model, jax.random.key(1)
    forms = {"ours": Work(partial(_sample, n=n), args)}
    if isinstance(model.network, Transformer):
        forms["without a cache"] = Work(whole, args)
    return Case(f"{n} x {length} characters from {name}", forms, torch)


def _sample(model: language.LanguageModel, key: Any, *, n: int) -> jax.Array:
    return language.sample(model, key, n)
