# SPDX-License-Identifier: Apache-2.0
"""Beam search: likely sequences of a language model, without chance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.models.autoregressive.language.model import LanguageModel, check_length, check_logits
from jaxml.models.condition import Context


class Beams(NamedTuple):
    """What a search has found, the best first.

    Attributes:
      tokens: sequences, the prompt among them.
      log_prob: of what follows the prompt, in nats; −inf where there are fewer sequences than
        beams.
    """

    tokens: Integer[Array, "batch beams length"]
    log_prob: Float[Array, "batch beams"]


def beam_search(
    model: LanguageModel,
    n_beams: int,
    *,
    length: int | None = None,
    prompt: Integer[Array, "batch m"] | None = None,
    stop: int | None = None,
    exponent: float = 0.0,
    context: Context = None,
) -> Beams:
    """Of all continuations of the best n beams by one token, the best n; token after token.

    With as many beams as there are sequences it finds the likeliest one; one beam is greedy. What
    is likeliest is seldom typical: for draws see `sample`.

    Args:
      model: the model.
      n_beams: beams of each search.
      length: tokens of a sequence, the prompt among them; None for the model's.
      prompt: what sequences begin with, a row a search. Without one, and without a context, there
        is one search.
      stop: the token that ends a sequence; it goes on with itself, at no cost.
      exponent: a of log p/Tᵃ by which the beams are ordered in the end, T the tokens behind the
        prompt up to a stop; 0 orders by probability, which favours short sequences. The search
        itself goes by probability.
      context: what a conditional model is conditioned on, a row a search.

    Raises:
      ValueError: for less than one beam, a negative exponent, a length that the network cannot read
        or the prompt fills, and a stop that is no token.

    Reference: Lowerre 1976, The HARPY speech recognition system; lengths: Wu et al. 2016,
    section 7, arXiv:1609.08144, with a plain power.
    """
    length = model.length if length is None else length
    check_length(model, length)
    batch = next((len(a) for a in (prompt, context) if a is not None), 1)
    before = jnp.zeros((batch, 0), jnp.int32) if prompt is None else prompt.astype(jnp.int32)
    m = before.shape[1]
    if n_beams < 1:
        raise ValueError(f"n_beams: expected at least 1, got {n_beams}")
    if not exponent >= 0:
        raise ValueError(f"exponent: expected at least 0, got {exponent}")
    if m >= length:
        raise ValueError(f"prompt: expected fewer than {length} tokens, got {m}")
    if stop is not None and not 0 <= stop < model.n_tokens:
        raise ValueError(f"stop: expected a token below {model.n_tokens}, got {stop}")

    def search(prompt: Array, context: Array | None) -> Beams:
        context = None if context is None else context[None]
        read = jnp.concatenate([jnp.full(1, model.n_tokens, jnp.int32), prompt])
        cache = model.network.empty_cache(1, length)
        if m:
            _, cache = model.network.extend(read[None, :-1], cache, context=context)

        def extend(token: Array, cache: object) -> tuple[Array, object]:
            logits, cache = model.network.extend(token[None, None], cache, context=context)
            return check_logits(model, logits, 1, 1)[0, 0], cache

        def step(carry: tuple, i: Array) -> tuple[tuple, None]:
            found, total, ended, cache = carry
            last = jnp.where(i == 0, read[-1], jnp.take(found, jnp.maximum(i - 1, 0), axis=1))
            logits, cache = jax.vmap(extend)(last, cache)
            further = jax.nn.log_softmax(logits)
            if stop is not None:
                only = jnp.where(jnp.arange(model.n_tokens) == stop, 0.0, -jnp.inf)
                further = jnp.where(ended[:, None], only[None].astype(further.dtype), further)
            total, best = jax.lax.top_k((total[:, None] + further).ravel(), n_beams)
            beam, token = jnp.divmod(best, model.n_tokens)
            # Every beam has a cache of its own, and takes its parent's along.
            found, ended, cache = jax.tree.map(lambda a: a[beam], (found, ended, cache))
            ended = ended if stop is None else ended | (token == stop)
            return (found.at[:, i].set(token), total, ended, cache), None

        cache = jax.tree.map(lambda a: jnp.broadcast_to(a, (n_beams, *a.shape)), cache)
        logits, _ = jax.eval_shape(jax.vmap(extend), jnp.zeros(n_beams, jnp.int32), cache)
        # One beam is alive at first: n equal ones would find n times the same.
        total = jnp.full(n_beams, -jnp.inf, logits.dtype).at[0].set(0.0)
        found = jnp.full((n_beams, length - m), model.n_tokens, jnp.int32)
        carry = found, total, jnp.zeros(n_beams, bool), cache
        (found, total, _, _), _ = jax.lax.scan(step, carry, jnp.arange(length - m))
        score = total
        if stop is not None and exponent:
            n = 1 + jnp.sum(jnp.cumsum(found == stop, axis=-1) == 0, axis=-1)
            score = total / jnp.minimum(n, length - m).astype(total.dtype) ** exponent
        order = jnp.argsort(-score)
        head = jnp.broadcast_to(prompt, (n_beams, m))
        return Beams(jnp.concatenate([head, found[order]], axis=1), total[order])

    return jax.vmap(search)(before, context)
