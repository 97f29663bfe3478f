# SPDX-License-Identifier: Apache-2.0
"""What a diffusion model learns from: squared errors at random times."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion import times as laws
from jaxml.diffusion import weighting as weightings
from jaxml.diffusion.coupling import Coupling, independent
from jaxml.diffusion.noise import diffuse
from jaxml.diffusion.parameterization import Clean
from jaxml.diffusion.times import Times
from jaxml.diffusion.weighting import Weighting
from jaxml.models.condition import unpack
from jaxml.models.diffusion.model import Diffusion, output
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Scalar


def loss(
    model: Diffusion,
    batch: Batch,
    key: Key,
    *,
    weighting: Weighting | None = None,
    times: Times = laws.uniform,
    drop: float = 0.0,
    couple: Coupling = independent,
) -> tuple[Scalar, Metrics]:
    """Mean of |target − output|², or of w(λ) |ε − ε̂|², over t, elements and the batch.

    Args:
      model: the model.
      batch: x, or `{"x": x, "y": context}` for a conditional model.
      key: for times, noise and what is dropped.
      weighting: w; None counts every error of what the network says alike: that of ε in a DDPM, of
        the velocity in flow matching, and with EDM's output that of EDM.
      times: the law of t.
      drop: how often a context is replaced by zeros, for guidance without a classifier.
      couple: which noise meets which data, see `jaxml.diffusion.coupling`. With another than the
        independent one the model is that of a flow; x_t is no longer data with noise added.

    Raises:
      ValueError: if `drop` is no probability.

    Reference: Ho et al. 2020, equation 14, arXiv:2006.11239; Karras et al. 2022, equation 8,
    arXiv:2206.00364; Lipman et al. 2023, equation 14, arXiv:2210.02747.
    """
    error, _, gain, log_snr = errors(model, batch, key, times, drop, couple)
    each = jnp.mean(error, axis=tuple(range(1, error.ndim)))
    value = each if weighting is None else weighting(log_snr) * jnp.square(gain) * each
    return jnp.mean(value), {"squared_error": jnp.mean(each)}


def bound_loss(
    model: Diffusion,
    batch: Batch,
    key: Key,
    *,
    weighting: Weighting = weightings.simple,
    times: Times = laws.uniform,
) -> tuple[Scalar, Metrics]:
    """Mean of −½ dλ/dt w(λ) |ε − ε̂|²: with w = 1 what the bound of −log p(x_0) integrates.

    In nats an element, for t uniform; whatever the schedule does between its ends.

    Args:
      model: the model.
      batch: x, or `{"x": x, "y": context}` for a conditional model.
      key: for times and noise.
      weighting: w; as long as it falls with λ the mean is a bound, of data under a little noise.
      times: the law of t; another than the uniform one weighs anew.

    Reference: Kingma et al. 2021, equation 18, arXiv:2107.00630; Kingma and Gao 2023, section 2,
    arXiv:2303.00848.
    """
    error, t, gain, log_snr = errors(model, batch, key, times)
    each = jnp.mean(error, axis=tuple(range(1, error.ndim)))
    rate = weightings.vlb(model.schedule, t)
    value = rate * weighting(log_snr) * jnp.square(gain) * each
    return jnp.mean(value), {"squared_error": jnp.mean(each)}


def errors(
    model: Diffusion,
    batch: Batch,
    key: Key,
    times: Times = laws.uniform,
    drop: float = 0.0,
    couple: Coupling = independent,
) -> tuple[Array, Float[Array, " n"], Float[Array, " n"], Float[Array, " n"]]:
    """Squares of the output's errors, t, the factor from there to errors of ε, and λ.

    What every objective here is made of; the arguments are those of `loss`.
    """
    if not 0 <= drop < 1:
        raise ValueError(f"drop: expected a probability below 1, got {drop}")
    x0, context = unpack(batch)
    x0 = widen(x0)
    time_key, noise_key, drop_key = jax.random.split(key, 3)
    t = times(time_key, len(x0)).astype(x0.dtype)
    if context is not None and drop > 0:
        keep = jax.random.bernoulli(drop_key, 1 - drop, (len(x0),) + (1,) * (context.ndim - 1))
        context = jnp.where(keep, context, 0)
    noise = model.schedule.at(t)
    eps = couple(x0, jax.random.normal(noise_key, x0.shape, x0.dtype))
    said = output(model, diffuse(x0, eps, noise), t, noise, context=context)
    meant = model.parameterization
    error = jnp.square(said - meant.target(Clean(x0, eps), noise.over(x0)))
    # What an output means is linear in it: an error of 1 in it is this much of ε.
    one, zero = jnp.ones_like(t), jnp.zeros_like(t)
    return error, t, meant.meaning(one, zero, noise).eps, noise.log_snr
