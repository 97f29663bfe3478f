# SPDX-License-Identifier: Apache-2.0
"""log Z of any energy between two bounds, by chains that are annealed from a known density.

The path is f_β = q^{1−β} e^{−βE}, q a normalized density that one can draw from; to every β belongs
a step of Hamiltonian Monte Carlo.
"""

from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxml.models.energy.model import EnergyOf, Events, energy
from jaxml.models.energy.objective import Noise
from jaxml.probability import mcmc
from jaxml.probability.importance import LogMean
from jaxml.probability.mcmc.annealing import Path, geometric
from jaxml.types import Key, Scalar

Betas = Float[Array, "n_betas"]


def lower_bound(
    model: Any,
    key: Key,
    n: int,
    *,
    noise: Noise,
    betas: Betas,
    step_size: float = 0.1,
    n_leapfrog: int = 5,
    energy: EnergyOf = energy,
) -> LogMean:
    """A stochastic lower bound of log Z in nats, by n chains from q to the model.

    Args:
      model: the model.
      key: for draws of q and for the chains.
      n: chains, at least two.
      noise: q; the nearer to the model, the tighter. Where it has no mass the bound stays below.
      betas: rising from 0 to 1; the more, the tighter.
      step_size: of the leapfrog.
      n_leapfrog: leapfrog steps for one β.
      energy: of the model.

    Raises:
      ValueError: for fewer than two chains or βs.

    Reference: Neal 2001, section 2, arXiv:physics/9803008; Grosse et al. 2015, section 2.3,
    arXiv:1511.02543.
    """
    draw_key, walk_key = jax.random.split(key)
    path = _path(model, noise, energy)
    kernel = partial(_kernel, path, step_size, n_leapfrog)
    return mcmc.lower_bound(path, kernel, noise.sample(draw_key, n), walk_key, betas)


def upper_bound(
    model: Any,
    x: Events,
    key: Key,
    *,
    noise: Noise,
    betas: Betas,
    step_size: float = 0.1,
    n_leapfrog: int = 5,
    energy: EnergyOf = energy,
) -> LogMean:
    """A stochastic upper bound of log Z in nats, by chains from draws of the model back to q.

    It is one if x are exact draws; of draws from chains that have not mixed it is an estimate.

    Args:
      model: the model.
      x: draws of e^{−E}/Z, at least two.
      key: for the chains.
      noise: q, as for `lower_bound`.
      betas: as for `lower_bound`.
      step_size: of the leapfrog.
      n_leapfrog: leapfrog steps for one β.
      energy: of the model.

    Raises:
      ValueError: for fewer than two chains or βs.

    Reference: Grosse et al. 2015, section 3, arXiv:1511.02543.
    """
    path = _path(model, noise, energy)
    return mcmc.upper_bound(path, partial(_kernel, path, step_size, n_leapfrog), x, key, betas)


def _path(model: Any, noise: Noise, energy: EnergyOf) -> Path:
    return geometric(lambda x: noise.log_prob(x[None])[0], lambda x: -energy(model, x[None])[0])


def _kernel(
    path: Path, step_size: float, n_leapfrog: int, x: Array, beta: Scalar, key: Key
) -> Array:
    def log_prob(x: Array) -> Scalar:
        return path(x, beta)

    chain = mcmc.start(log_prob, x)
    return mcmc.hamiltonian(log_prob, chain, key, step_size, n_leapfrog)[0].x
