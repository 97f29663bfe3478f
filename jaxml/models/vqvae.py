# SPDX-License-Identifier: Apache-2.0
"""The vector-quantized VAE: a grid of discrete codes between an encoder and a decoder."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Integer, Shaped

from jaxml.losses import quantization
from jaxml.losses.likelihood import Likelihood
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Scalar


class Codebook(nnx.Module):
    """Codes e learned by gradient: the codebook term is ‖sg(z) − e‖².

    Args:
      n_codes: number of codes.
      dim: features of a code.
      rngs: keys for initialization, uniform in (−1/n_codes, 1/n_codes).
    """

    def __init__(self, n_codes: int, dim: int, *, rngs: nnx.Rngs):
        self.codes = nnx.Param(_initial_codes(n_codes, dim, rngs))

    def learn(
        self, z: Float[Array, "*batch dim"], indices: Integer[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """The cost that moves each code towards its vectors."""
        return quantization.commitment(self.codes[...][indices], z)


class MovingCodebook(nnx.Module):
    """Codes that are moving means of their vectors; they change inside the loss, without gradient.

    Args:
      n_codes: number of codes.
      dim: features of a code.
      decay: γ, how much of the moving counts and sums a step keeps.
      rngs: keys for initialization, uniform in (−1/n_codes, 1/n_codes).
    """

    def __init__(self, n_codes: int, dim: int, *, decay: float = 0.99, rngs: nnx.Rngs):
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), got {decay}")
        self.decay = decay
        self.codes = nnx.BatchStat(_initial_codes(n_codes, dim, rngs))
        self.counts = nnx.BatchStat(jnp.zeros(n_codes))
        self.sums = nnx.BatchStat(jnp.zeros((n_codes, dim)))

    def learn(
        self, z: Float[Array, "*batch dim"], indices: Integer[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """Moves the codes; costs nothing."""
        clusters = quantization.Clusters(self.counts[...], self.sums[...])
        (self.counts[...], self.sums[...]), self.codes[...] = quantization.follow(
            clusters, self.codes[...], z, indices, decay=self.decay
        )
        return jnp.zeros(indices.shape)


class VQVAE(nnx.Module):
    """An encoder to a grid of vectors, a codebook, a decoder, a likelihood.

    Args:
      encoder: maps x to vectors, shape `(batch, *grid, dim)`.
      decoder: maps such a grid of codes to raw output for the likelihood.
      likelihood: p(x|codes), see `jaxml.losses.likelihood`.
      codebook: `Codebook` or `MovingCodebook`.
      grid: shape of the code indices of one example, such as (7, 7).

    Reference: van den Oord et al. 2017, arXiv:1711.00937.
    """

    def __init__(
        self,
        encoder: Callable[..., Array],
        decoder: Callable[..., Array],
        likelihood: Likelihood,
        codebook: Codebook | MovingCodebook,
        *,
        grid: tuple[int, ...],
    ):
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.codebook = codebook
        self.grid = grid


class Elbo(NamedTuple):
    """The evidence lower bound of each example and its terms, in nats."""

    value: Float[Array, "batch"]
    reconstruction: Float[Array, "batch"]
    code_log_prob: Float[Array, "batch"]


def loss(model: VQVAE, batch: Batch, key: Key, *, beta: float = 0.25) -> tuple[Scalar, Metrics]:
    """−log p(x|e) + ‖sg(z) − e‖² + β‖z − sg(e)‖²: sums over an example, mean over the batch.

    The gradient of the reconstruction passes the quantization as if it were the identity. With a
    `MovingCodebook` the second term is absent and the codes have moved when the loss returns.

    Args:
      model: the VQ-VAE.
      batch: x.
      key: not used: the code of an example is no random variable.
      beta: β, the weight of the commitment.

    Reference: van den Oord et al. 2017, equation 3, arXiv:1711.00937.
    """
    del key
    x = batch
    z = _vectors(model, x)
    indices = _indices(model, z)
    quantized = model.codebook.codes[...][indices]
    reconstruction = _reconstruction(model, x, quantization.straight_through(z, quantized))
    commitment = _per_example(quantization.commitment(z, quantized))
    learning = _per_example(model.codebook.learn(z, indices))
    n_codes = model.codebook.codes.shape[0]
    return jnp.mean(learning + beta * commitment - reconstruction), {
        "elbo": jnp.mean(reconstruction) - indices[0].size * jnp.log(n_codes),
        "reconstruction": jnp.mean(reconstruction),
        "commitment": jnp.mean(commitment),
        "perplexity": quantization.perplexity(indices, n_codes),
    }


def elbo(
    model: VQVAE,
    x: Shaped[Array, "batch *event"],
    *,
    logits: Float[Array, "*grid n_codes"] | None = None,
) -> Elbo:
    """log p(x|e) + Σ log p(code): a lower bound of log p(x), since q(code|x) is a point; nats.

    Args:
      model: the VQ-VAE.
      x: the examples.
      logits: prior of each code of the grid, as from `prior_logits`; None is uniform.
    """
    indices = encode(model, x)
    reconstruction = _reconstruction(model, x, model.codebook.codes[...][indices])
    log_p = jax.nn.log_softmax(_or_uniform(model, logits))
    code_log_prob = _per_example(
        jnp.take_along_axis(log_p[None], indices[..., None], axis=-1)[..., 0]
    )
    return Elbo(reconstruction + code_log_prob, reconstruction, code_log_prob)


def encode(model: VQVAE, x: Shaped[Array, "batch *event"]) -> Integer[Array, "batch *grid"]:
    """The index of the nearest code at each position."""
    return _indices(model, _vectors(model, x))


def decode(model: VQVAE, indices: Integer[Array, "batch *grid"]) -> Float[Array, "batch *event"]:
    """The location of p(x|codes)."""
    return model.likelihood.location(model.decoder(model.codebook.codes[...][indices]))


def reconstruct(model: VQVAE, x: Shaped[Array, "batch *event"]) -> Float[Array, "batch *event"]:
    """x through its codes and back."""
    return decode(model, encode(model, x))


def prior_logits(model: VQVAE, x: Shaped[Array, "batch *event"]) -> Float[Array, "*grid n_codes"]:
    """log((n_k + 1)/(n + n_codes)) at each position of the grid: codes taken as independent."""
    n_codes = model.codebook.codes.shape[0]
    count = jnp.sum(jax.nn.one_hot(encode(model, x), n_codes), axis=0)
    return jnp.log((count + 1) / (x.shape[0] + n_codes))


def sample(
    model: VQVAE, key: Key, n: int, *, logits: Float[Array, "*grid n_codes"] | None = None
) -> Float[Array, "n *event"]:
    """n draws: codes from their prior (`prior_logits`; None is uniform), then x from p(x|codes)."""
    code_key, x_key = jax.random.split(key)
    indices = jax.random.categorical(code_key, _or_uniform(model, logits), shape=(n, *model.grid))
    return model.likelihood.sample(model.decoder(model.codebook.codes[...][indices]), x_key)


def restart(model: VQVAE, x: Shaped[Array, "batch *event"], key: Key) -> VQVAE:
    """The model with every code that no vector of x fell to moved onto a random vector of x.

    Reference: Dhariwal et al. 2020, Jukebox, section 3.1, arXiv:2005.00341 (random restarts).
    """
    z = _vectors(model, x)
    codes = model.codebook.codes[...]
    n_codes, dim = codes.shape
    dead = jnp.bincount(_indices(model, z).ravel(), length=n_codes) == 0
    fresh = jax.random.choice(key, z.reshape(-1, dim), (n_codes,))
    model = jax.tree.map(lambda leaf: leaf, model)  # a copy: modules change only inside a loss
    model.codebook.codes[...] = jnp.where(dead[:, None], fresh, codes)
    if isinstance(model.codebook, MovingCodebook):
        model.codebook.counts[...] = jnp.where(dead, 0.0, model.codebook.counts[...])
        model.codebook.sums[...] = jnp.where(dead[:, None], 0.0, model.codebook.sums[...])
    return model


def _initial_codes(n_codes: int, dim: int, rngs: nnx.Rngs) -> Float[Array, "n_codes dim"]:
    if min(n_codes, dim) < 1:
        raise ValueError(f"n_codes, dim: expected positive sizes, got {n_codes}, {dim}")
    return jax.random.uniform(rngs.params(), (n_codes, dim), minval=-1, maxval=1) / n_codes


def _vectors(model: VQVAE, x: Array) -> Float[Array, "batch *grid dim"]:
    z = widen(model.encoder(widen(x)))
    expected = (*model.grid, model.codebook.codes.shape[-1])
    if z.shape[1:] != expected:
        raise ValueError(f"encoder: expected vectors of shape {expected}, got {z.shape[1:]}")
    return z


def _indices(model: VQVAE, z: Array) -> Integer[Array, "batch *grid"]:
    return quantization.nearest_code(z, model.codebook.codes[...])


def _reconstruction(model: VQVAE, x: Array, codes: Array) -> Float[Array, "batch"]:
    return _per_example(model.likelihood.log_prob(x, model.decoder(codes)))


def _per_example(values: Float[Array, "batch *rest"]) -> Float[Array, "batch"]:
    return jnp.sum(values, axis=tuple(range(1, values.ndim)))


def _or_uniform(model: VQVAE, logits: Array | None) -> Float[Array, "*grid n_codes"]:
    if logits is None:
        return jnp.zeros((*model.grid, model.codebook.codes.shape[0]))
    return logits
