# SPDX-License-Identifier: Apache-2.0
"""Lower bounds of log p(x_0), every term by itself: of a chain, and of infinitely many steps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.diffusion import bound
from jaxml.diffusion.grid import Points, pairs
from jaxml.diffusion.noise import diffuse
from jaxml.diffusion.parameterization import Clean
from jaxml.diffusion.times import uniform
from jaxml.diffusion.weighting import vlb
from jaxml.models.condition import Context
from jaxml.models.diffusion.model import Diffusion, denoise
from jaxml.numerics import widen
from jaxml.types import Key

Data = Shaped[Array, "batch *event"]
Each = Float[Array, "batch"]
Variances = Float[Array, " steps"]


class Terms(NamedTuple):
    """The parts of a bound in nats, each at one draw of noise: `reconstruction − prior − Σ steps`.

    Attributes:
      prior: KL(q(x_T | x_0) ‖ p(x_T)), exact.
      steps: KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t)) of every step but the last, noisiest first.
      reconstruction: log p(x_0 | x_1).
    """

    prior: Each
    steps: Float[Array, "steps_but_one batch"]
    reconstruction: Each

    def elbo(self) -> Each:
        """A lower bound of log p(x_0) in nats, up to its noise."""
        return self.reconstruction - self.prior - self.steps.sum(0)


def variances(path: Points, *, large: bool = False) -> Variances:
    """β̃ of every step down a path, or β; β of the last one, where β̃ is 0."""
    after, before = pairs(path.noise)
    all_large = bound.reverse_variance(before, after, large=True)
    if large:
        return all_large
    small = bound.reverse_variance(before, after)
    return jnp.where(before.sigma > 0, small, all_large)


def best_variances(
    model: Diffusion, x: Data, key: Key, path: Points, *, context: Context = None
) -> Variances:
    """The best variance of every step for a model with these errors, measured on x.

    Args:
      model: the model.
      x: data, not those to be tested.
      key: for the noise.
      path: falling levels that end clean.
      context: a row an event.
    """

    def error(step):
        x0, clean = _looked(model, x, step, context)
        return jnp.mean(jnp.square(x0 - clean.x0))

    after, before = pairs(path.noise)
    errors = jax.lax.map(error, _steps(key, path))
    return jnp.where(before.sigma > 0, bound.best_variance(before, after, errors), errors)


def terms(
    model: Diffusion,
    x: Data,
    key: Key,
    path: Points,
    used: Variances,
    *,
    levels: int | None = None,
    context: Context = None,
) -> Terms:
    """Every part of the bound on log p(x_0) for the chain of Gaussian steps down a path.

    Args:
      model: the model.
      x: x_0.
      key: for the noise, a draw a step and example.
      path: falling levels that end clean, one more than steps; at least two steps.
      used: the variance of every step, such as `variances(path)`.
      levels: L, if x are whole numbers as levels −1, −1 + 2/(L − 1), ..., 1: the last step then is
        a probability of them. None for real numbers, whose last step is a density.
      context: a row an event.

    Raises:
      ValueError: if there is not one variance a step.

    Reference: Ho et al. 2020, equations 5 and 13, arXiv:2006.11239.
    """
    n = len(path.t) - 1
    if n < 2 or used.shape != (n,):
        raise ValueError(f"used: expected at least 2 variances, one a step ({n}), got {used.shape}")

    def divergence(step_and_variance):
        (key, now, then), variance = step_and_variance
        x0, clean = _looked(model, x, (key, now, then), context)
        return _summed(bound.step_divergence(x0, clean.x0, then.noise, now.noise, variance))

    places = _steps(key, path)
    but_last, last = (jax.tree.map(lambda a, part=part: a[part], places) for part in
                      (slice(0, -1), -1))  # fmt: skip
    steps = jax.lax.map(divergence, (but_last, used[:-1]))
    x0, clean = _looked(model, x, last, context)
    if levels is None:
        data = _summed(bound.reconstruction(x0, clean.x0, used[-1]))
    else:
        data = _summed(bound.discretized_reconstruction(x0, clean.x0, used[-1], levels))
    first = jax.tree.map(lambda a: a[0], path.noise)
    prior = _summed(bound.prior_divergence(widen(x), first, first.sigma))
    return Terms(prior, steps, data)


def k_bound(found: Terms, path: Points, dim: int) -> Each:
    """K, from the same steps with the last one tied to the first of the forward chain, in nats.

    Its mean over data with E|x_0|² = D is a lower bound of E log p(x_0); that of one x is none.

    Args:
      found: the terms of the chain down the path.
      path: of a variance-preserving schedule.
      dim: D, the numbers of an example.

    Reference: Sohl-Dickstein et al. 2015, equation 14, arXiv:1503.03585.
    """
    first, last = (jax.tree.map(lambda a, i=i: a[i], path.noise) for i in (-2, 0))
    return dim * bound.k_bound(found.steps.sum(0) / dim, first, last)


class ContinuousTerms(NamedTuple):
    """The parts of the bound with infinitely many steps, in nats.

    Attributes:
      prior: KL(q(x_1 | x_0) ‖ p(x_1)), exact.
      diffusion: −½ ∫ dλ/dt E|ε − ε̂|² dt, at draws of t and noise.
      reconstruction: log p(x | x_0), x_0 the data under the least noise; at a draw of it.
    """

    prior: Each
    diffusion: Each
    reconstruction: Each

    def elbo(self) -> Each:
        """A lower bound of log p(x) in nats, up to its noise."""
        return self.reconstruction - self.prior - self.diffusion


def continuous_terms(
    model: Diffusion, x: Data, key: Key, *, n_times: int = 100, context: Context = None
) -> ContinuousTerms:
    """The bound with infinitely many steps; x given the least noisy x_0 is N(x_0/α, (σ/α)² I).

    Its diffusion part knows the ends of the schedule only, and not its way between them.

    Args:
      model: the model; its schedule has noise at t = 0 and signal at t = 1.
      x: real numbers.
      key: for times and noise.
      n_times: times an example, spread evenly.
      context: a row an event.

    Raises:
      ValueError: for less than one time.

    Reference: Kingma et al. 2021, equations 11 and 15, arXiv:2107.00630.
    """
    if n_times < 1:
        raise ValueError(f"n_times: expected at least 1, got {n_times}")
    x, (time_key, data_key) = widen(x), jax.random.split(key)

    def at_one_time(i):
        own_key, noise_key = jax.random.split(jax.random.fold_in(time_key, i))
        # Strata of [0, 1] over the draws of an example, and over the batch within each.
        t = (uniform(own_key, len(x)).astype(x.dtype) + i.astype(x.dtype)) / n_times
        noise, eps = model.schedule.at(t), jax.random.normal(noise_key, x.shape, x.dtype)
        clean = denoise(model, diffuse(x, eps, noise), Points(t, noise), context=context)
        return vlb(model.schedule, t) * _summed(jnp.square(eps - clean.eps))

    total = jax.lax.map(at_one_time, jnp.arange(n_times)).sum(0) / n_times
    prior, data = ends(model, x, data_key)
    return ContinuousTerms(prior, total, data)


def ends(model: Diffusion, x: Data, key: Key) -> tuple[Each, Each]:
    """The parts of the continuous bound at its ends, in nats: prior and reconstruction.

    Args:
      model: the model.
      x: real numbers.
      key: for the noise of the reconstruction.
    """
    x = widen(x)
    first, last = (model.schedule.at(jnp.asarray(t, x.dtype)) for t in (0.0, 1.0))
    relative = first.sigma / first.alpha
    guess = x + relative * jax.random.normal(key, x.shape, x.dtype)
    data = _summed(bound.reconstruction(x, guess, jnp.square(relative)))
    return _summed(bound.prior_divergence(x, last, last.sigma)), data


def _steps(key: Key, path: Points) -> tuple[Array, Points, Points]:
    """A key a step, where it begins and where it ends."""
    return jax.random.split(key, len(path.t) - 1), *pairs(path)


def _looked(model: Diffusion, x: Data, step: tuple, context: Context) -> tuple[Array, Clean]:
    """x_0, and what x_t at the beginning of a step is taken for."""
    key, now, _ = step
    x0 = widen(x)
    eps = jax.random.normal(key, x0.shape, x0.dtype)
    return x0, denoise(model, diffuse(x0, eps, now.noise), now, context=context)


def _summed(each: Float[Array, "batch *event"]) -> Each:
    return each.sum(axis=tuple(range(1, each.ndim)))
