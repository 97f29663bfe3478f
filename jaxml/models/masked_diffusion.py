# SPDX-License-Identifier: Apache-2.0
"""Masked diffusion of sequences: tokens vanish one by one, and a network tells them back."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Integer

from jaxml.diffusion import stage
from jaxml.diffusion.discrete_bound import bits_per_token
from jaxml.diffusion.masking import mask_tokens, masked_ancestral, masked_cost, masked_weight
from jaxml.diffusion.times import uniform
from jaxml.models.condition import Context, unpack
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Scalar


class MaskedDiffusion(nnx.Module):
    """p(x) of sequences of one length, by a network that reads them with some tokens masked.

    The network is called as `network(tokens, t)`, or `network(tokens, t, context)` in a conditional
    model, with tokens `Int[batch, length]` in which n_tokens is the mask and t `Float[batch]` in
    (0, 1], and gives logits `Float[batch, length, n_tokens]`. It holds no random state. It need not
    read t: what is masked says as much.

    Args:
      network: tells the tokens behind the masks.
      n_tokens: categories 0 … n_tokens − 1.
      length: tokens of a sequence.
      schedule: of `jaxml.diffusion.stage`; None is the linear one. For a network that does not read
        t it changes no bound, but the spread of its estimates, which `polynomial` keeps small, and
        where a sampler takes its steps.

    Raises:
      ValueError: for sizes below 1.

    Reference: Sahoo et al. 2024, arXiv:2406.07524; Shi et al. 2024, arXiv:2406.04329.
    """

    def __init__(
        self,
        network: Callable[..., Array],
        n_tokens: int,
        length: int,
        *,
        schedule: stage.Schedule | None = None,
    ):
        if min(n_tokens, length) < 1:
            raise ValueError(f"n_tokens, length: expected positive sizes, got {n_tokens}, {length}")
        self.network, self.n_tokens, self.length = network, n_tokens, length
        self.schedule = stage.linear() if schedule is None else schedule


def loss(model: MaskedDiffusion, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−α′/(1 − α) · Σ over masks of −log p(x_0^i | x_t), nats a token: on average at least −log p.

    One time an example, the times of a batch equally far apart. The metric `elbo` is in nats a
    sequence.

    Args:
      model: the model.
      batch: x, or `{"x": x, "y": context}`.
      key: draws times and masks.

    Reference: Sahoo et al. 2024, section 3, arXiv:2406.07524.
    """
    x, context = unpack(batch)
    time_key, mask_key = jax.random.split(key)
    t = uniform(time_key, x.shape[0])
    value = -jnp.mean(_bound(model, x, t, mask_key, context, None))
    return value / model.length, {
        "elbo": -value,
        "bits_per_token": bits_per_token(-value, model.length),
    }


def elbo(
    model: MaskedDiffusion,
    x: Integer[Array, "batch length"],
    key: Key,
    *,
    n_times: int = 16,
    n_steps: int | None = None,
    context: Context = None,
) -> Float[Array, "batch"]:
    """A lower bound of log p(x), nats an example, in an unbiased estimate.

    It is the bound of the process in continuous time, which many steps of `sample` come close to.
    With `n_steps` it is that of `sample` in so many steps, at temperature 1.

    Args:
      model: the model.
      x: sequences.
      key: draws times and masks.
      n_times: times an example, one in each of so many parts of (0, 1]; so many passes through the
        network, one after another.
      n_steps: of the sampler; None for continuous time.
      context: what a conditional model is conditioned on, a row an example.

    Raises:
      ValueError: for less than one time or step.
    """
    if n_times < 1:
        raise ValueError(f"n_times: expected at least 1, got {n_times}")
    time_key, mask_key = jax.random.split(key)
    within = uniform(time_key, x.shape[0])

    def add(total, i):
        t = (i.astype(within.dtype) + within) / n_times
        return total + _bound(model, x, t, jax.random.fold_in(mask_key, i), context, n_steps), None

    return jax.lax.scan(add, jnp.zeros_like(within), jnp.arange(n_times))[0] / n_times


def sample(
    model: MaskedDiffusion,
    key: Key,
    n: int,
    *,
    n_steps: int = 64,
    times: Callable[[int], Float[Array, " points"]] = stage.falling,
    temperature: float | Scalar = 1.0,
    known: Integer[Array, "n length"] | None = None,
    context: Context = None,
) -> Integer[Array, "n length"]:
    """n draws: from nothing but masks to none in `n_steps` steps, each one pass of the network.

    The tokens that one step uncovers are drawn independently of each other: with few steps the law
    is coarser than that of the network's conditionals.

    Args:
      model: the model.
      key: for the draws.
      n: how many.
      n_steps: steps of this sampler.
      times: `n_steps -> n_steps + 1 times` of the model's schedule, falling from 1 to 0; equally
        far apart by default, as `elbo` has them.
      temperature: divides the logits; below 1 likely tokens become likelier.
      known: tokens to keep, with n_tokens where one is to be drawn: infilling.
      context: what a conditional model is conditioned on, a row a draw.

    Raises:
      ValueError: for less than one step, a temperature that is not positive, or known tokens of
        another shape.
    """
    if known is None:
        known = jnp.full((n, model.length), model.n_tokens, jnp.int32)
    if known.shape != (n, model.length):
        raise ValueError(f"known: expected shape {(n, model.length)}, got {known.shape}")
    stages = model.schedule(times(n_steps))
    return masked_ancestral(
        lambda tokens, now: _logits(model, tokens, jnp.broadcast_to(now.t, (n,)), context),
        stages,
        known.astype(jnp.int32),
        key,
        temperature=temperature,
    )


def _bound(
    model: MaskedDiffusion,
    x: Integer[Array, "batch length"],
    t: Float[Array, "batch"],
    key: Key,
    context: Context,
    n_steps: int | None,
) -> Float[Array, "batch"]:
    if x.shape[1] != model.length:
        raise ValueError(f"x: expected rows of {model.length} tokens, got {x.shape[1]}")
    x = x.astype(jnp.int32)  # bytes cannot hold the mask as well
    now, weight = masked_weight(model.schedule, t, n_steps=n_steps)
    tokens = mask_tokens(x, now, model.n_tokens, key)
    return -weight * masked_cost(_logits(model, tokens, now.t, context), x, tokens)


def _logits(
    model: MaskedDiffusion,
    tokens: Integer[Array, "batch length"],
    t: Float[Array, "batch"],
    context: Context,
) -> Float[Array, "batch length n_tokens"]:
    given = (tokens, t) if context is None else (tokens, t, context)
    logits = widen(model.network(*given))
    expected = (*tokens.shape, model.n_tokens)
    if logits.shape != expected:
        raise ValueError(f"network: expected logits of shape {expected}, got {logits.shape}")
    return logits
