# SPDX-License-Identifier: Apache-2.0
"""How energies are learned without log Z: from chains, from slopes, or from known noise."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.losses import contrastive, score_matching
from jaxml.models.condition import unpack
from jaxml.models.energy.model import EnergyModel, EnergyOf, energy, log_density, score
from jaxml.models.energy.replay import Walk
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Model, Scalar


class Noise(NamedTuple):
    """A density that is known and can be drawn from.

    Attributes:
      log_prob: `x -> log p`, one number an example, in nats.
      sample: `(key, n) -> x`.
    """

    log_prob: Callable[[Float[Array, "batch *event"]], Float[Array, "batch"]]
    sample: Callable[[Key, int], Float[Array, "batch *event"]]


def contrastive_loss(
    model: Any,
    batch: Batch,
    key: Key,
    *,
    alpha: float = 0.1,
    walk: Walk | None = None,
    energy: EnergyOf = energy,
) -> tuple[Scalar, Metrics]:
    """Mean of E(x) − E(x̃) + α (E(x)² + E(x̃)²), x̃ draws of the model.

    The value is no measure of progress. The metrics `real`, `fake` and `spread`, the root of the
    total variance of x̃ over that of x, are what `metrics.instability.diagnose` reads.

    Args:
      model: the model.
      batch: `{"x": x, "fake": x̃}` of `rule`; with `walk` x alone or `{"x": x}`.
      key: for the walk.
      alpha: α.
      walk: chains that begin at the data, for contrastive divergence without a buffer.
      energy: of the model.

    Raises:
      ValueError: if there are no draws and no walk.

    Reference: Du and Mordatch 2019, section 3, arXiv:1903.08689; Hinton 2002 for chains from data.
    """
    x, _ = unpack(batch)
    x = widen(x)
    if walk is not None:
        fake = jax.lax.stop_gradient(walk(model, x, key))
    elif isinstance(batch, Mapping) and "fake" in batch:
        fake = batch["fake"]
    else:
        raise ValueError("batch: expected draws under 'fake' (energy.rule gives them), or a walk")
    real_energy, fake_energy = energy(model, x), energy(model, fake)
    cost = contrastive.contrastive_divergence(real_energy, fake_energy)
    cost = cost + alpha * contrastive.magnitude(real_energy, fake_energy)
    return jnp.mean(cost), {
        "real": jnp.mean(real_energy),
        "fake": jnp.mean(fake_energy),
        "spread": jnp.sqrt(jnp.sum(fake.var(0)) / jnp.sum(x.var(0))),
    }


def implicit_loss(model: Model, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """Mean of ½‖s(x)‖² + tr ∇s(x), s = −∇E: score matching with an exact trace.

    Args:
      model: the model.
      batch: x of few dimensions.
      key: not used.

    Reference: Hyvärinen 2005, equation 4, JMLR 6:695.
    """
    del key
    x, _ = unpack(batch)
    return jnp.mean(score_matching.implicit(partial(score, model), widen(x))), {}


def sliced_loss(
    model: Model, batch: Batch, key: Key, *, n_slices: int = 1
) -> tuple[Scalar, Metrics]:
    """Mean of ½‖s(x)‖² + vᵀ∇s(x)v, v of random signs: score matching by Hutchinson's trace.

    Args:
      model: the model.
      batch: x.
      key: for v.
      n_slices: directions an example.

    Reference: Song et al. 2019, equation 9, arXiv:1905.07088.
    """
    x, _ = unpack(batch)
    each = score_matching.sliced(partial(score, model), widen(x), key, n_slices=n_slices)
    return jnp.mean(each), {}


def denoising_loss(model: Model, batch: Batch, key: Key, *, sigma: float) -> tuple[Scalar, Metrics]:
    """Mean of ½‖σ s(x + σε) + ε‖²: p becomes the density of data under noise of that σ.

    Args:
      model: the model.
      batch: x.
      key: for ε.
      sigma: σ.

    Reference: Vincent 2011, equation 9, Neural Computation 23.
    """
    x, _ = unpack(batch)
    return jnp.mean(score_matching.denoising(partial(score, model), widen(x), key, sigma)), {}


def noise_contrastive_loss(
    model: EnergyModel, batch: Batch, key: Key, *, noise: Noise
) -> tuple[Scalar, Metrics]:
    """Mean cost of telling data from noise by log p(x) − log p_noise(x); learns log Z too.

    Args:
      model: the model.
      batch: x.
      key: for the noise, as many draws as there are data.
      noise: such as a Gaussian with the data's covariance.

    Reference: Gutmann and Hyvärinen 2012, equation 8, JMLR 13:307.
    """
    x, _ = unpack(batch)
    x = widen(x)
    fake = noise.sample(key, len(x))
    real_gap, fake_gap = (log_density(model, a) - noise.log_prob(a) for a in (x, fake))
    value = jnp.mean(contrastive.noise_contrastive(real_gap, fake_gap))
    right = 0.5 * (jnp.mean(real_gap > 0) + jnp.mean(fake_gap <= 0))
    return value, {"told_apart": right, "log_z": model.log_z[...]}
