# SPDX-License-Identifier: Apache-2.0
"""Mixtures of discretized logistics over the colours of a pixel, each colour led by those before.

P(x) = Σ_k π_k Π_c P(x_c | m_kc, s_kc) with m_kc = μ_kc + Σ_{b<c} a_kcb x_b: a pixel has one
component, and within it colour c is moved by the colours before it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.numerics import logsumexp
from jaxml.probability import discretized_logistic
from jaxml.types import Key

Weights = Float[Array, "*batch k"]
Heads = Float[Array, "*batch colours k"]
Couplings = Float[Array, "*batch pairs k"]
"""a by pairs (c, b), b < c: (1, 0), (2, 0), (2, 1) and so on."""


def log_prob(
    x: Float[Array, "*batch colours"],
    logits: Weights,
    mean: Heads,
    log_scale: Heads,
    coupling: Couplings,
    *,
    n_levels: int = 256,
) -> Float[Array, "*batch"]:
    """log Σ_k π_k Π_c P(x_c | m_kc, s_kc) of a pixel, in nats.

    Over all levels of all colours the probabilities sum to 1.

    Args:
      x: levels of [−1, 1].
      logits: of π.
      mean: μ.
      log_scale: log s.
      coupling: a; no pairs for one colour.
      n_levels: levels of each colour.

    Raises:
      ValueError: if the couplings are not as many as there are pairs of colours.

    Reference: Salimans et al. 2017, PixelCNN++, equations 2 and 3, arXiv:1701.05517.
    """
    of = x[..., None]
    each = discretized_logistic.log_prob(
        jnp.broadcast_to(of, mean.shape),
        led(of, mean, coupling),
        log_scale,
        n_levels=n_levels,
    )
    return logsumexp(jax.nn.log_softmax(logits) + each.sum(-2), axis=-1)


def sample(
    logits: Weights,
    mean: Heads,
    log_scale: Heads,
    coupling: Couplings,
    key: Key,
    *,
    n_levels: int = 256,
) -> Float[Array, "*batch colours"]:
    """A component, and then its colours one after another: exactly the law of `log_prob`.

    Args:
      logits: of π.
      mean: μ.
      log_scale: log s.
      coupling: a.
      key: for the component and the colours.
      n_levels: levels of each colour.

    Raises:
      ValueError: if the couplings are not as many as there are pairs of colours.
    """
    which_key, colour_key = jax.random.split(key)
    k = jax.random.categorical(which_key, logits)[..., None, None]
    mean, log_scale, coupling = (
        jnp.take_along_axis(a, k, axis=-1) for a in (mean, log_scale, coupling)
    )
    x = jnp.zeros_like(mean)
    for c in range(mean.shape[-2]):
        m = led(x, mean, coupling)[..., c, 0]
        drawn = discretized_logistic.sample(
            m, log_scale[..., c, 0], jax.random.fold_in(colour_key, c), n_levels=n_levels
        )
        x = x.at[..., c, 0].set(drawn)
    return x[..., 0]


def led(
    x: Float[Array, "*batch colours #k"], mean: Heads, coupling: Couplings
) -> Float[Array, "*batch colours k"]:
    """m_kc = μ_kc + Σ_{b<c} a_kcb x_b.

    Raises:
      ValueError: if the couplings are not as many as there are pairs of colours.
    """
    n = mean.shape[-2]
    later, earlier = np.tril_indices(n, -1)
    if coupling.shape[-2] != len(later):
        raise ValueError(f"coupling: expected {len(later)} pairs, got {coupling.shape[-2]}")
    for pair, (c, b) in enumerate(zip(later, earlier, strict=True)):
        mean = mean.at[..., c, :].add(coupling[..., pair, :] * x[..., b, :])
    return mean
