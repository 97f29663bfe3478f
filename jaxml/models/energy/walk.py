# SPDX-License-Identifier: Apache-2.0
"""Chains that follow a model's energy: what contrastive divergence compares data with."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxml.models.energy.model import EnergyOf, Events, energy, score
from jaxml.probability import mcmc
from jaxml.types import Key, Scalar


def langevin(
    model: Any,
    x: Events,
    key: Key,
    *,
    n_steps: int = 60,
    step_size: float = 10.0,
    noise: float | None = 0.005,
    clip: float | None = 0.03,
    bounds: tuple[float, float] | None = (-1.0, 1.0),
    energy: EnergyOf = energy,
) -> Events:
    """[x ← x + σ ε; x ← x − h clip(∇E(x))] n times, x held within bounds.

    The defaults are those with which images are learned. They do not draw from e^{−E}: with steps
    of h = 10 the noise of the true chain would be √(2h) = 4.5, so this one lives at a temperature
    of σ²/(2h) = 1e-6; clipping caps a step at 0.3 and makes slopes beyond 0.03 alike, which biases
    the chain towards where it began; the bounds put mass on the faces of the box. What is learned
    is an energy whose short chains look like data, not a density. `noise=None, clip=None,
    bounds=None` with a small step is Langevin's unadjusted chain (`probability.mcmc.langevin`).

    Args:
      model: the model.
      x: where the chains begin.
      key: for ε.
      n_steps: how many.
      step_size: h.
      noise: σ of a step; None is √(2h).
      clip: bound of every number of a slope, if any.
      bounds: the least and largest number of x, if any.
      energy: of the model.

    Raises:
      ValueError: for less than one step, a step size or a clip that is not positive, negative
        noise, or empty bounds.

    Reference: Du and Mordatch 2019, section 3, arXiv:1903.08689; the numbers are those of Foster
    2023, Generative Deep Learning, chapter 7.
    """
    if n_steps < 1 or not step_size > 0:
        raise ValueError(
            f"n_steps, step_size: expected positive numbers, got {n_steps}, {step_size}"
        )
    if (noise is not None and noise < 0) or (clip is not None and not clip > 0):
        raise ValueError(f"noise, clip: expected positive numbers or None, got {noise}, {clip}")
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ValueError(f"bounds: expected the smaller number first, got {bounds}")
    sigma = (2 * step_size) ** 0.5 if noise is None else noise

    def held(x: Events) -> Events:
        return x if bounds is None else jnp.clip(x, *bounds)

    def step(x: Events, i):
        eps = jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
        # True Langevin takes slope and noise from one point; images get their noise first.
        at = x if noise is None else held(x + sigma * eps)
        uphill = score(model, at, energy=energy)
        if clip is not None:
            uphill = jnp.clip(uphill, -clip, clip)
        after = at + step_size * uphill
        return held(after + sigma * eps if noise is None else after), None

    return jax.lax.scan(step, x, jnp.arange(n_steps))[0]


def hamiltonian(
    model: Any,
    x: Events,
    key: Key,
    *,
    n_steps: int = 1,
    step_size: float = 0.1,
    n_leapfrog: int = 10,
    energy: EnergyOf = energy,
) -> Events:
    """n steps of Hamiltonian Monte Carlo of e^{−E}: a chain without bias, for densities.

    Args:
      model: the model.
      x: where the chains begin.
      key: for momenta and decisions.
      n_steps: how many.
      step_size: of the leapfrog.
      n_leapfrog: leapfrog steps of each.
      energy: of the model.

    Raises:
      ValueError: for less than one step of either kind.

    Reference: Neal 2011, section 3.2, arXiv:1206.1901.
    """

    def log_prob(x: Array) -> Scalar:
        return -energy(model, x[None])[0]

    def one(x: Array, key: Key) -> Array:
        def step(chain: mcmc.Chain, key: Key) -> tuple[mcmc.Chain, mcmc.Move]:
            return mcmc.hamiltonian(log_prob, chain, key, step_size, n_leapfrog)

        return mcmc.walk(step, mcmc.start(log_prob, x), key, 1, thin=n_steps)[0].x

    return jax.vmap(one)(x, jax.random.split(key, len(x)))
