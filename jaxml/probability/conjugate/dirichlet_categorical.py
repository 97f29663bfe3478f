# SPDX-License-Identifier: Apache-2.0
"""Draws of one of K classes with probabilities θ, and θ from the Dirichlet law of α; in nats.

p(θ) ∝ Π θ_k^(α_k − 1). Data are counts of the classes, along the last axis.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.probability.factorial import log_rising


class Dirichlet(NamedTuple):
    """What is known of θ.

    Attributes:
      counts: α > 0, how often each class was as good as seen.
    """

    counts: Float[Array, "*batch k"]


def posterior(law: Dirichlet, counts: Float[Array, "*batch k"]) -> Dirichlet:
    """α' = α + n.

    Args:
      law: the prior; the posterior of earlier draws.
      counts: n, how often each class was drawn.
    """
    return Dirichlet(law.counts + counts)


def log_predictive(law: Dirichlet, x: Integer[Array, "*batch"]) -> Float[Array, "*batch"]:
    """log α_x/Σα of one more draw; NaN for what is no class.

    Args:
      law: the prior or a posterior.
      x: a class from 0 to K − 1.
    """
    classes = jax.lax.broadcasted_iota(jnp.int32, law.counts.shape, law.counts.ndim - 1)
    hit = classes == x[..., None].astype(jnp.int32)
    known = jnp.any(hit, axis=-1)
    count = jnp.sum(jnp.where(hit, law.counts, 0), axis=-1)
    value = jnp.log(jnp.where(known, count, 1)) - jnp.log(jnp.sum(law.counts, axis=-1))
    return jnp.where(known, value, jnp.nan)


def log_evidence(law: Dirichlet, counts: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
    """Σ_k log Γ(α_k + n_k)/Γ(α_k) − log Γ(Σα + Σn)/Γ(Σα), of the draws in the order they came.

    Times the number Σn!/Π n_k! of orders it is the probability of the counts.

    Args:
      law: the prior.
      counts: n, how often each class was drawn.
    """
    each = jnp.sum(log_rising(law.counts, counts), axis=-1)
    return each - log_rising(jnp.sum(law.counts, axis=-1), jnp.sum(counts, axis=-1))


def maximum_a_posteriori(law: Dirichlet) -> Float[Array, "*batch k"]:
    """The likeliest θ, (α_k − 1)/(Σα − K).

    A class with α_k ≤ 1 gets 0: at 1 the density is greatest there, and below it is infinite all
    along that edge, so that this is the best of the others. NaN if no α is above 1.

    Args:
      law: the prior or a posterior.
    """
    above = jnp.maximum(law.counts - 1, 0)
    total = jnp.sum(above, axis=-1, keepdims=True)
    return jnp.where(total > 0, above / jnp.where(total > 0, total, 1), jnp.nan)
