# SPDX-License-Identifier: Apache-2.0
"""Mixtures of Bernoulli products under the contract: clusters of bits, learned by a rule.

model = bernoulli_mixture.begun(data, key, 20)
rule = bernoulli_mixture.em()
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Shaped

from jaxml.models.condition import unpack
from jaxml.probability import bernoulli_mixture as bits
from jaxml.probability import maximum_likelihood
from jaxml.types import Batch, Key, Metrics, Model, Rule, Scalar, State

Bits = Shaped[Array, "n d"]


class BernoulliMixture(nnx.Module):
    """p(x) = Σ_k w_k Π_i θ_ki^x_i (1 − θ_ki)^(1 − x_i).

    Args:
      parameters: log w and the logits of θ, such as those of `probability.bernoulli_mixture.start`.
    """

    def __init__(self, parameters: bits.Mixture):
        self.log_weight = nnx.Param(parameters.log_weight)
        self.logits = nnx.Param(parameters.logits)

    @property
    def parameters(self) -> bits.Mixture:
        """log w and logits as arrays."""
        return bits.Mixture(self.log_weight[...], self.logits[...])


def begun(x: Bits, key: Key, k: int, *, pseudocount: float = 0.01) -> BernoulliMixture:
    """A model of k components, each leaning towards a row of the data.

    Args:
      x: data, 0 and 1.
      key: which rows; restarts differ by it (`vmap` over keys, and `training.ensemble`).
      k: components.
      pseudocount: ones and zeros that every bit was seen to have before.

    Raises:
      ValueError: unless 1 ≤ k ≤ the number of rows and the pseudocount is positive.
    """
    return BernoulliMixture(bits.start(x, key, k, pseudocount=pseudocount))


def em(*, pseudocount: float = 0.01) -> Rule:
    """One step of expectation maximization on the batch, which should be all of the data.

    The posterior of θ under a beta prior never falls. The metrics are `log_prob`, the mean of
    log p(x) before the step, in nats, and `least_weight`.

    Args:
      pseudocount: ones and zeros that every bit of every component was seen to have before.

    Raises:
      ValueError: if the pseudocount is not positive.

    Reference: Bishop 2006, section 9.3.3.
    """
    bits.check(pseudocount)

    def init(model: Model, key: Key) -> State:
        del model, key
        return ()

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        del key
        x, _ = unpack(batch)
        after, value = bits.em_step(model.parameters, x, pseudocount=pseudocount)
        least = jnp.exp(after.log_weight.min())
        return BernoulliMixture(after), state, {"log_prob": value, "least_weight": least}

    return Rule(init, update)


def log_prob(model: BernoulliMixture, x: Bits) -> Float[Array, "n"]:
    """log p(x), in nats; exact."""
    return bits.log_prob(model.parameters, x)


def responsibilities(model: BernoulliMixture, x: Bits) -> Float[Array, "n k"]:
    """P(k | x): whose draw a row is likely to be."""
    return bits.responsibilities(model.parameters, x)


def sample(model: BernoulliMixture, key: Key, n: int) -> Bool[Array, "{n} d"]:
    """n draws of x ~ p(x)."""
    return bits.sample(model.parameters, key, n)


def mean(model: BernoulliMixture) -> Float[Array, "k d"]:
    """θ of every component: what its draws look like on average."""
    return jax.nn.sigmoid(model.logits[...])


def bic(model: BernoulliMixture, x: Bits) -> Scalar:
    """`maximum_likelihood.bic` with m = k − 1 + kd.

    Args:
      model: at the maximum of the likelihood.
      x: the data it was learned from.
    """
    k, d = model.logits.shape
    return maximum_likelihood.bic(log_prob(model, x), k - 1 + k * d)


__all__ = [
    "BernoulliMixture",
    "begun",
    "bic",
    "em",
    "log_prob",
    "mean",
    "responsibilities",
    "sample",
]
