# SPDX-License-Identifier: Apache-2.0
"""Errors of a predicted number, one value for each element."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml import numerics
from jaxml.numerics import absolute, widen_all


def squared_error(
    prediction: Float[Array, "*#shape"], target: Shaped[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """(ŷ − y)²; the constant that minimizes its sum is the mean of the targets."""
    prediction, target = widen_all(prediction, target)
    return jnp.square(prediction - target)


def absolute_error(
    prediction: Float[Array, "*#shape"], target: Shaped[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """|ŷ − y|, with gradient 0 at 0; the constant that minimizes its sum is the median."""
    prediction, target = widen_all(prediction, target)
    return absolute(prediction - target)


def huber(
    prediction: Float[Array, "*#shape"], target: Shaped[Array, "*#shape"], *, delta: float = 1.0
) -> Float[Array, "*#shape"]:
    """½r² where |r| ≤ δ and δ(|r| − ½δ) beyond, r = ŷ − y.

    Args:
      prediction: ŷ.
      target: y.
      delta: δ > 0, from where on the error grows linearly.

    Raises:
      ValueError: if δ is not positive.

    Reference: Huber 1964, Robust estimation of a location parameter, section 1.
    """
    if not delta > 0:
        raise ValueError(f"delta: expected a positive number, got {delta}")
    prediction, target = widen_all(prediction, target)
    r = prediction - target
    inside = jnp.clip(r, -delta, delta)  # its slope, unlike that of |r|, is 1 at 0
    return inside * (r - 0.5 * inside)


def log_cosh(
    prediction: Float[Array, "*#shape"], target: Shaped[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log cosh(ŷ − y): ½r² near 0 and |r| − log 2 far away, smooth of every order."""
    prediction, target = widen_all(prediction, target)
    return numerics.log_cosh(prediction - target)


def quantile(
    prediction: Float[Array, "*#shape"], target: Shaped[Array, "*#shape"], *, level: float
) -> Float[Array, "*#shape"]:
    """max(τr, (τ − 1)r) with r = y − ŷ; minimized by the τ-quantile of the targets.

    At τ = ½ it is half the absolute error.

    Args:
      prediction: ŷ.
      target: y.
      level: τ, what part of the targets should lie below the prediction.

    Raises:
      ValueError: if τ is not between 0 and 1.

    Reference: Koenker and Bassett 1978, Regression quantiles, equation 3.1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    prediction, target = widen_all(prediction, target)
    r = target - prediction
    return jnp.maximum(level * r, (level - 1) * r)
