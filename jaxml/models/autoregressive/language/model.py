# SPDX-License-Identifier: Apache-2.0
"""Language models: the probability of a sequence of tokens, each given those before it."""

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Integer

from jaxml.losses.classification import cross_entropy
from jaxml.models.condition import Context, unpack
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Scalar

Mask = Bool[Array, "_ _"] | None
"""As x."""


@runtime_checkable
class Decoder(Protocol):
    """A causal network on tokens, such as `Transformer(..., causal=True)` or `TokenRecurrent`.

    Attributes:
      length: the longest sequence that it reads, or None.
    """

    @property
    def length(self) -> int | None: ...  # noqa: D102

    def __call__(self, tokens: Any, *, context: Any = None, key: Any = None) -> Array:
        """Logits `batch length n_tokens`, each of its own token and of those before it."""
        ...

    def empty_cache(self, batch: int, size: int | None = None) -> Any:
        """What `extend` begins with."""
        ...

    def extend(self, tokens: Any, cache: Any, *, context: Any = None) -> tuple[Array, Any]:
        """The logits of further tokens, and what is to be known of them."""
        ...


class LanguageModel(nnx.Module):
    """p(x) = Π p(x_i | x_<i), by a causal network that reads a start symbol and then x.

    The start symbol has the number n_tokens: the network reads n_tokens + 1 symbols and gives
    logits of n_tokens. So the first token has a probability too, and probabilities of all sequences
    of one length sum to 1.

    Args:
      network: see `Decoder`; it holds no random state.
      n_tokens: tokens 0 … n_tokens − 1.
      length: tokens of a sequence, and so many are drawn unless asked otherwise.

    Raises:
      ValueError: for sizes below 1, and for a network that cannot read so many tokens.

    Reference: Bengio et al. 2003, A neural probabilistic language model, section 1.1; with
    recurrent networks, Graves 2013, arXiv:1308.0850; with transformers, Radford et al. 2018,
    Improving language understanding by generative pre-training, section 3.1.
    """

    def __init__(self, network: Decoder, n_tokens: int, length: int):
        if min(n_tokens, length) < 1:
            raise ValueError(f"n_tokens, length: expected positive sizes, got {n_tokens}, {length}")
        if network.length is not None and network.length < length:
            raise ValueError(
                f"network: expected one that reads {length} tokens, got {network.length}"
            )
        self.network, self.n_tokens, self.length = network, n_tokens, length


def loss(model: LanguageModel, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−log p(x) in nats a token: over all tokens of the batch that count, each alike.

    The metric `log_prob` is in nats a sequence.

    Args:
      model: the model.
      batch: x, or `{"x": x, "y": context, "mask": mask}` without what is not there.
      key: for dropout, if the network has any.
    """
    x, context = unpack(batch)
    mask = batch.get("mask") if isinstance(batch, Mapping) else None
    each = _by_token(model, x, mask, context, key)
    n = x.size if mask is None else jnp.maximum(mask.sum(), 1).astype(each.dtype)
    value = -each.sum() / n
    return value, {"log_prob": each.sum(-1).mean(), "bits_per_token": value / math.log(2)}


def log_prob(
    model: LanguageModel,
    x: Integer[Array, "batch length"],
    *,
    mask: Mask = None,
    context: Context = None,
) -> Float[Array, "batch"]:
    """log p(x) = Σ log p(x_i | x_<i), in nats a sequence; exact.

    Args:
      model: the model.
      x: sequences.
      mask: True where a token counts; see `log_prob_by_token`.
      context: what a conditional model is conditioned on, a row an example.
    """
    return _by_token(model, x, mask, context, None).sum(-1)


def log_prob_by_token(
    model: LanguageModel,
    x: Integer[Array, "batch length"],
    *,
    mask: Mask = None,
    context: Context = None,
) -> Float[Array, "batch length"]:
    """log p(x_i | x_<i) of every token, in nats; NaN for one that does not exist.

    Args:
      model: the model.
      x: sequences.
      mask: True where a token counts; 0 nats elsewhere. Behind the end of a ragged sequence, False
        makes padding of any kind harmless; in front, the tokens are read as context for the others
        and are not scored themselves.
      context: what a conditional model is conditioned on, a row an example.
    """
    return _by_token(model, x, mask, context, None)


def until(x: Integer[Array, "batch length"], stop: int) -> Bool[Array, "batch length"]:
    """True up to the first `stop` of every sequence and there too: the mask of sequences that end.

    With it, `log_prob` is a law over sequences of unequal lengths, as `sample(..., stop=stop)`
    draws them.

    Args:
      x: sequences.
      stop: the token that ends one.
    """
    here = (x == stop).astype(jnp.int32)
    return jnp.cumsum(here, axis=-1) - here == 0


def check_length(model: LanguageModel, length: int) -> None:
    """Refuses sequences that the network cannot read."""
    longest = model.network.length
    if length < 1 or (longest is not None and length > longest):
        most = "at least 1 token" if longest is None else f"1 to {longest} tokens"
        raise ValueError(f"length: expected {most}, got {length}")


def check_logits(model: LanguageModel, logits: Array, batch: int, length: int) -> Array:
    """The logits in single precision at least; refused if they have another shape."""
    expected = (batch, length, model.n_tokens)
    if logits.shape != expected:
        raise ValueError(f"network: expected logits of shape {expected}, got {logits.shape}")
    return widen(logits)


def _by_token(
    model: LanguageModel,
    x: Integer[Array, "batch length"],
    mask: Mask,
    context: Context,
    key: Key | None,
) -> Float[Array, "batch length"]:
    check_length(model, x.shape[1])
    if mask is not None and mask.shape != x.shape:
        raise ValueError(f"mask: expected shape {x.shape}, got {mask.shape}")
    x = x.astype(jnp.int32)  # bytes cannot hold the start symbol as well
    if mask is not None:
        # NaN of padding that is no token would pass through attention, whose weight for it is 0.
        x = jnp.where(mask, x, jnp.clip(x, 0, model.n_tokens - 1))
    start = jnp.full((len(x), 1), model.n_tokens, jnp.int32)
    read = jnp.concatenate([start, x[:, :-1]], axis=1)
    logits = check_logits(model, model.network(read, context=context, key=key), *x.shape)
    found = -cross_entropy(logits, x)
    return found if mask is None else jnp.where(mask, found, 0.0)
