# SPDX-License-Identifier: Apache-2.0
"""Mixtures of Gaussians under the contract: a model, its density, its draws, and EM as a rule.

model = mixture.begun(data, key, 5)
rule = mixture.em()
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.models.condition import unpack
from jaxml.probability import gaussian_mixture as gaussians
from jaxml.probability import maximum_likelihood
from jaxml.types import Batch, Key, Metrics, Model, Rule, Scalar, State

Points = Float[Array, "n d"]


class GaussianMixture(nnx.Module):
    """p(x) = Σ_k w_k N(x; μ_k, Σ_k).

    Args:
      parameters: log w, μ and Σ, such as those of `gaussian_mixture.start`.
      kind: what covariances may be: `FULL`, `TIED`, `DIAGONAL` or `SPHERICAL` of
        `probability.gaussian_mixture`.
    """

    def __init__(self, parameters: gaussians.Mixture, kind: gaussians.Kind = gaussians.FULL):
        self.log_weight = nnx.Param(parameters.log_weight)
        self.mean = nnx.Param(parameters.mean)
        self.covariance = nnx.Param(parameters.covariance)
        self.kind = kind

    @property
    def parameters(self) -> gaussians.Mixture:
        """log w, μ and Σ as arrays."""
        return gaussians.Mixture(self.log_weight[...], self.mean[...], self.covariance[...])


def begun(
    x: Points,
    key: Key,
    k: int,
    *,
    kind: gaussians.Kind = gaussians.FULL,
    floor: float = 1e-6,
) -> GaussianMixture:
    """A model of k components where k-means++ and ten of Lloyd's steps have put them.

    Args:
      x: data.
      key: for the centers; restarts differ by it (`vmap` over keys, and `training.ensemble`).
      k: components.
      kind: of the covariances.
      floor: least variance in any direction.

    Raises:
      ValueError: unless 1 ≤ k ≤ the number of points and the floor is positive.
    """
    return GaussianMixture(gaussians.start(x, key, k, kind, floor=floor), kind)


def em(*, floor: float = 1e-6) -> Rule:
    """One step of expectation maximization on the batch, which should be all of the data.

    log p of the data never falls, whatever the floor. The metrics are `log_prob`, the mean of
    log p(x) before the step, in nats, and `least_weight`.

    Args:
      floor: least variance in any direction: without one a component may shrink to a point, where
        the likelihood has no bound.

    Raises:
      ValueError: if the floor is not positive.

    Reference: Dempster, Laird and Rubin 1977; Bishop 2006, section 9.2.2.
    """
    if not floor > 0:
        raise ValueError(f"floor: expected a positive variance, got {floor}")

    def init(model: Model, key: Key) -> State:
        del model, key
        return ()

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        del key
        x, _ = unpack(batch)
        after, value = gaussians.em_step(model.parameters, x, model.kind, floor=floor)
        model = GaussianMixture(after, model.kind)
        return model, state, {"log_prob": value, "least_weight": jnp.exp(after.log_weight.min())}

    return Rule(init, update)


def log_prob(model: GaussianMixture, x: Points) -> Float[Array, "n"]:
    """log p(x), in nats; exact."""
    return gaussians.log_prob(model.parameters, x, model.kind)


def responsibilities(model: GaussianMixture, x: Points) -> Float[Array, "n k"]:
    """P(k | x): whose draw a point is likely to be."""
    return gaussians.responsibilities(model.parameters, x, model.kind)


def sample(model: GaussianMixture, key: Key, n: int) -> Points:
    """n draws of x ~ p(x)."""
    return gaussians.sample(model.parameters, key, n, model.kind)


def bic(model: GaussianMixture, x: Points) -> Scalar:
    """`maximum_likelihood.bic` with m = k − 1 + kd and what the kind of covariance has free.

    Args:
      model: at the maximum of the likelihood.
      x: the data it was learned from.
    """
    k, d = model.mean.shape
    n_free = k - 1 + k * d + model.kind.n_free(k, d)
    return maximum_likelihood.bic(log_prob(model, x), n_free)


__all__ = [
    "GaussianMixture",
    "begun",
    "bic",
    "em",
    "log_prob",
    "responsibilities",
    "sample",
]
