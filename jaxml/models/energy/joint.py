# SPDX-License-Identifier: Apache-2.0
"""A classifier's logits as an energy: log p(x, y) = f(x)[y] − log Z.

Then p(y | x) is the classifier's softmax, and E(x) = −log Σ_y e^{f(x)[y]} the energy of x alone.
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Shaped

from jaxml.losses.classification import cross_entropy
from jaxml.models.energy.objective import contrastive_loss
from jaxml.numerics import logsumexp, widen
from jaxml.types import Batch, Key, Metrics, Scalar


class Joint(nnx.Module):
    """p(x, y) ∝ e^{f(x)[y]}.

    Args:
      network: f, `x -> logits`, `(batch, classes)`; without batch normalization.

    Reference: Grathwohl et al. 2020, equation 3, arXiv:1912.03263.
    """

    def __init__(self, network: Callable[[Array], Array]):
        self.network = network


def logits(model: Joint, x: Shaped[Array, "batch *event"]) -> Float[Array, "batch classes"]:
    """f(x)."""
    return widen(model.network(widen(x)))


def energy(model: Joint, x: Shaped[Array, "batch *event"]) -> Float[Array, "batch"]:
    """E(x) = −log Σ_y e^{f(x)[y]}."""
    return -logsumexp(logits(model, x), axis=-1)


def joint_energy(
    model: Joint, x: Shaped[Array, "batch *event"], y: Int[Array, "batch"]
) -> Float[Array, "batch"]:
    """E(x, y) = −f(x)[y]; as a function of x that of p(x | y).

    Args:
      model: the model.
      x: examples.
      y: their classes.
    """
    return -jnp.take_along_axis(logits(model, x), y[:, None], axis=1)[:, 0]


def loss(
    model: Joint, batch: Batch, key: Key, *, alpha: float = 0.1, weight: float = 1.0
) -> tuple[Scalar, Metrics]:
    """Mean of −log p(y | x) + λ [E(x) − E(x̃) + α (E(x)² + E(x̃)²)]: of −log p(x, y), but for α.

    Args:
      model: the model.
      batch: `{"x": x, "y": classes, "fake": x̃}` of `energy.rule` with chains of `energy`.
      key: not used.
      alpha: α.
      weight: λ; 0 is a classifier.

    Reference: Grathwohl et al. 2020, equation 8, arXiv:1912.03263.
    """
    found = logits(model, batch["x"])
    cost = jnp.mean(cross_entropy(found, batch["y"]))
    density = {name: batch[name] for name in ("x", "fake")}
    value, metrics = contrastive_loss(model, density, key, alpha=alpha, energy=energy)
    right = jnp.mean(jnp.argmax(found, axis=-1) == batch["y"])
    return cost + weight * value, {**metrics, "cross_entropy": cost, "accuracy": right}
