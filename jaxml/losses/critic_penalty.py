# SPDX-License-Identifier: Apache-2.0
"""Penalties on a critic's slope in its input, one number an example.

The critic is a function of a batch whose score of one example depends on that example alone: with
batch normalization in it a penalty would be that of another function.
"""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import norm
from jaxml.types import Key

Batch = Float[Array, "n *event"]
Each = Float[Array, "n"]
Critic = Callable[[Batch], Each]
Penalty = Callable[[Critic, Batch, Batch, Key], Each]
"""`(critic, real, fake, key) -> cost`, its weight included."""


@cache
def interpolated(weight: float = 10.0) -> Penalty:
    """λ times `gradient_penalty`.

    Args:
      weight: λ.

    Raises:
      ValueError: if it is negative.
    """
    _natural("weight", weight)

    def penalty(critic: Critic, real: Batch, fake: Batch, key: Key) -> Each:
        return weight * gradient_penalty(critic, real, fake, key)

    return penalty


@cache
def zero_centred(real: float = 1.0, fake: float = 0.0) -> Penalty:
    """γ_1 times `zero_centred_penalty` at real examples and γ_2 times that at generated ones.

    Args:
      real: γ_1, of R1.
      fake: γ_2, of R2.

    Raises:
      ValueError: if one is negative.
    """
    _natural("real", real)
    _natural("fake", fake)

    def penalty(critic: Critic, x: Batch, generated: Batch, key: Key) -> Each:
        del key
        cost = jnp.zeros(len(x), x.dtype)
        for weight, at in ((real, x), (fake, generated)):
            if weight > 0:
                cost = cost + weight * zero_centred_penalty(critic, at)
        return cost

    return penalty


def slopes(critic: Critic, x: Batch) -> Batch:
    """∇_x D(x) of every example.

    Raises:
      ValueError: if the critic does not give one score an example.
    """

    def total(x: Batch) -> Array:
        scores = critic(x)
        if scores.shape != x.shape[:1]:
            raise ValueError(f"critic: expected scores {x.shape[:1]}, got {scores.shape}")
        return jnp.sum(scores)

    return jax.grad(total)(x)


def gradient_penalty(critic: Critic, real: Batch, fake: Float[Array, "m *other"], key: Key) -> Each:
    """(‖∇D(x̂)‖₂ − 1)², x̂ = u x + (1 − u) x̃ with u uniform for each pair; 10 times it is usual.

    The norm is over all axes of an event and has the slope 0 where the gradient is 0.

    Args:
      critic: D.
      real: x.
      fake: x̃.
      key: for u.

    Raises:
      ValueError: if the batches differ in shape, or the critic does not give one score an example.

    Reference: Gulrajani et al. 2017, equation 3, arXiv:1704.00028.
    """
    if real.shape != fake.shape:
        raise ValueError(f"fake: expected the shape of real, {real.shape}, got {fake.shape}")
    u = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1), real.dtype)
    found = slopes(critic, fake + u * (real - fake))
    return jnp.square(_norm(found) - 1)


def zero_centred_penalty(critic: Critic, x: Batch) -> Each:
    """½ ‖∇D(x)‖²: at real data R1, at generated ones R2; γ times it.

    Args:
      critic: D.
      x: real or generated examples.

    Raises:
      ValueError: if the critic does not give one score an example.

    Reference: Mescheder et al. 2018, equations 9 and 10, arXiv:1801.04406.
    """
    square = jnp.square(slopes(critic, x))
    return 0.5 * jnp.sum(square, axis=tuple(range(1, x.ndim)))


def consistency(critic: Critic, x: Batch, changed: Batch) -> Each:
    """(D(x) − D(T(x)))²: a change of no meaning should not change the score; 10 times it is usual.

    Args:
      critic: D.
      x: real examples, or generated ones too (balanced consistency).
      changed: T(x), augmented.

    Reference: Zhang et al. 2020, arXiv:1910.12027; Zhao et al. 2021, arXiv:2002.04724.
    """
    return jnp.square(critic(x) - critic(changed))


def _norm(x: Batch) -> Each:
    return norm(x.reshape(len(x), -1), axis=1)


def _natural(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name}: expected a number that is not negative, got {value}")
