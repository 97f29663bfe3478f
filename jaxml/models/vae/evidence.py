# SPDX-License-Identifier: Apache-2.0
"""How good a VAE is: its importance-sampled log-likelihood, and the latent dimensions it uses."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from jaxml.models.condition import Context
from jaxml.models.vae.model import VAE, posterior
from jaxml.models.vae.objective import log_weight
from jaxml.numerics import logsumexp
from jaxml.probability import normal
from jaxml.types import Key


def log_likelihood(
    model: VAE,
    x: Shaped[Array, "batch *event"],
    key: Key,
    *,
    n_samples: int = 5000,
    chunk: int = 50,
    batch_size: int = 100,
    context: Context = None,
) -> Float[Array, "batch"]:
    """log p(x) ≈ log (1/K) Σ_k w_k with z_k from q(z|x): nats per example, biased low.

    Memory holds chunk·batch_size decoded rows: of each chunk of samples only its logsumexp is kept.
    An example draws from fold_in(key, its index), so the result does not depend on
    `batch_size`. `jaxml.probability.monte_carlo.estimate` of the result gives the mean over the
    examples with its standard error.

    Args:
      model: the VAE.
      x: the examples.
      key: draws z.
      n_samples: K.
      chunk: samples decoded at a time.
      batch_size: examples decoded at a time.
      context: one row for each example of a conditional model.

    Reference: Burda et al. 2016, section 5, arXiv:1509.00519 (K = 5000).
    """
    for name, size in {"n_samples": n_samples, "chunk": chunk, "batch_size": batch_size}.items():
        if size < 1:
            raise ValueError(f"{name}: expected a positive size, got {size}")
    chunk = min(chunk, n_samples)
    n_chunks = -(-n_samples // chunk)

    def one(example):
        index, x, context = example
        x, context = jax.tree.map(lambda a: a[None], (x, context))
        own_key = jax.random.fold_in(key, index)

        def chunk_sum(i):
            log_w = log_weight(model, x, jax.random.fold_in(own_key, i), chunk, context=context)
            counted = i * chunk + jnp.arange(chunk) < n_samples
            return logsumexp(log_w[:, 0], where=counted)

        return logsumexp(jax.lax.map(chunk_sum, jnp.arange(n_chunks))) - jnp.log(n_samples)

    examples = (jnp.arange(x.shape[0]), x, context)
    return jax.lax.map(one, examples, batch_size=min(batch_size, x.shape[0]))


def kl_per_dimension(
    model: VAE, x: Shaped[Array, "batch *event"], *, context: Context = None
) -> Float[Array, "latent"]:
    """E_x KL(q(z_j|x) ‖ p(z_j)), nats for each latent dimension: 0 where it has collapsed."""
    return jnp.mean(normal.kl_to_standard(*posterior(model, x, context=context)), axis=0)


def activity(
    model: VAE, x: Shaped[Array, "batch *event"], *, context: Context = None
) -> Float[Array, "latent"]:
    """A_j = Var_x(E_q[z_j]): how much the posterior mean of each dimension moves over the data.

    Reference: Burda et al. 2016, section 5.2, arXiv:1509.00519.
    """
    return jnp.var(posterior(model, x, context=context).mean, axis=0)


def active_units(
    model: VAE,
    x: Shaped[Array, "batch *event"],
    *,
    threshold: float = 0.01,
    context: Context = None,
) -> Integer[Array, ""]:
    """The number of latent dimensions with A_j above the threshold; the others have collapsed.

    Reference: Burda et al. 2016, section 5.2, arXiv:1509.00519.
    """
    return jnp.sum(activity(model, x, context=context) > threshold)
