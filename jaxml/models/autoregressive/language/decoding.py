# SPDX-License-Identifier: Apache-2.0
"""Draws from a language model, token by token, with what came before kept and not read again."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxml.diffusion.discrete import gumbel_max, token_cost
from jaxml.models.autoregressive.language.model import LanguageModel, check_length, check_logits
from jaxml.models.condition import Context
from jaxml.probability.truncation import truncate
from jaxml.types import Key, Scalar

Tokens = Integer[Array, "n length"]
Prompt = Integer[Array, "_ m"] | None
PromptMask = Bool[Array, "_ _"] | None


def sample(
    model: LanguageModel,
    key: Key,
    n: int,
    *,
    length: int | None = None,
    prompt: Prompt = None,
    prompt_mask: PromptMask = None,
    temperature: float | Scalar = 1.0,
    top_k: int | None = None,
    top_p: float | Scalar | None = None,
    min_p: float | Scalar | None = None,
    stop: int | None = None,
    context: Context = None,
) -> Tokens:
    """n draws of x ~ p(x), or of what follows a prompt; see `sample_and_log_prob`."""
    return sample_and_log_prob(
        model,
        key,
        n,
        length=length,
        prompt=prompt,
        prompt_mask=prompt_mask,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        stop=stop,
        context=context,
    )[0]


def sample_and_log_prob(
    model: LanguageModel,
    key: Key,
    n: int,
    *,
    length: int | None = None,
    prompt: Prompt = None,
    prompt_mask: PromptMask = None,
    temperature: float | Scalar = 1.0,
    top_k: int | None = None,
    top_p: float | Scalar | None = None,
    min_p: float | Scalar | None = None,
    stop: int | None = None,
    context: Context = None,
) -> tuple[Tokens, Float[Array, "n"]]:
    """x_i ~ q(x_i | x_<i) for every i, and Σ log q over the tokens that were drawn, in nats.

    q is the model's law, truncated if asked for: without a prompt and with no option,
    log q = log p. One program for all prompts of a shape; it reads a prompt at once, unless prompts
    are ragged.

    Args:
      model: the model.
      key: for the draws.
      n: how many.
      length: tokens of a sequence, the prompt among them; None for the model's.
      prompt: tokens that the sequences begin with, a row a draw.
      prompt_mask: True at the first so many tokens of each ragged prompt: draws follow behind them.
      temperature: divides the logits; below 1 likely tokens become likelier.
      top_k: draws only from the k likeliest tokens; see `jaxml.probability.truncation`.
      top_p: only from the nucleus of this probability.
      min_p: only from tokens at least so many times as likely as the likeliest.
      stop: the token behind which a sequence goes on with itself, at no cost, once it was drawn.
      context: what a conditional model is conditioned on, a row a draw.

    Raises:
      ValueError: for a length that the network cannot read or the prompt fills, arrays of another
        shape, and options out of range.
    """
    length = model.length if length is None else length
    check_length(model, length)
    start = jnp.full((n, 1), model.n_tokens, jnp.int32)
    before = jnp.zeros((n, 0), jnp.int32) if prompt is None else prompt.astype(jnp.int32)
    m = before.shape[1]
    if len(before) != n or m >= length:
        raise ValueError(
            f"prompt: expected {n} rows of less than {length} tokens, got {before.shape}"
        )
    if prompt_mask is not None and prompt_mask.shape != before.shape:
        raise ValueError(f"prompt_mask: expected shape {before.shape}, got {prompt_mask.shape}")
    if stop is not None and not 0 <= stop < model.n_tokens:
        raise ValueError(f"stop: expected a token below {model.n_tokens}, got {stop}")
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}

    cache = model.network.empty_cache(n, length)
    if prompt_mask is None:
        read = jnp.concatenate([start, before], axis=1)
        if m:
            _, cache = model.network.extend(read[:, :-1], cache, context=context)
        token, places, head, known = read[:, -1], jnp.arange(m, length), before, None
    else:  # prompts end at different places, and are read with the draws
        wide = ((0, 0), (0, length - m))
        token, places, head = start[:, 0], jnp.arange(length), before[:, :0]
        known = jnp.pad(before, wide).T, jnp.pad(prompt_mask, wide).T

    def step(carry, place):
        token, cache, ended = carry
        i, known = place
        logits, cache = model.network.extend(token[:, None], cache, context=context)
        logits = truncate(check_logits(model, logits, n, 1)[:, 0], **options)
        token = gumbel_max(logits, jax.random.fold_in(key, i)).astype(jnp.int32)
        cost = -token_cost(logits, token)
        if stop is not None:
            token, cost = jnp.where(ended, stop, token), jnp.where(ended, 0.0, cost)
            ended = ended | (token == stop)
        if known is not None:
            given, keep = known
            token, cost = jnp.where(keep, given, token), jnp.where(keep, 0.0, cost)
            ended = ended & ~keep
        return (token, cache, ended), (token, cost)

    carry = token, cache, jnp.zeros(n, bool)
    _, (drawn, costs) = jax.lax.scan(step, carry, (places, known))
    return jnp.concatenate([head, drawn.T], axis=1), costs.sum(0)
