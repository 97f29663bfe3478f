# SPDX-License-Identifier: Apache-2.0
"""Where a flow ends: distributions of z whose density and draws are known exactly."""

import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.numerics import logsumexp, softplus, softplus_inverse
from jaxml.probability import normal, student_t
from jaxml.types import Key


@runtime_checkable
class Base(Protocol):
    """What a flow asks of its base.

    Attributes:
      shape: of one z.
    """

    shape: tuple[int, ...]

    def log_prob(self, z: Float[Array, "n *event"]) -> Float[Array, "n"]:
        """log p(z) in nats."""
        ...

    def sample(self, key: Key, n: int) -> Float[Array, "n *event"]:
        """n exact draws."""
        ...


class Normal(nnx.Module):
    """z ~ N(0, I)."""

    def __init__(self, *shape: int):
        self.shape = tuple(shape)

    def log_prob(self, z: Float[Array, "n *event"]) -> Float[Array, "n"]:
        """−½ (D log 2π + ‖z‖²)."""
        zero = jnp.zeros((), z.dtype)
        return normal.log_prob(z, zero, zero).sum(axis=tuple(range(1, z.ndim)))

    def sample(self, key: Key, n: int) -> Float[Array, "n *event"]:
        """n exact draws."""
        return jax.random.normal(key, (n, *self.shape))


class StudentT(nnx.Module):
    """Every z_i from Student's t with a learned number of degrees of freedom above `least`.

    A flow that ends in straight lines has the tails of its base: data with heavy tails need them
    here.

    Args:
      *shape: of one z.
      freedom: where the ν_i begin.
      least: below which they never fall; above 2 the variance is finite.

    Reference: Jaini et al. 2020, arXiv:1907.04481.
    """

    def __init__(self, *shape: int, freedom: float = 5.0, least: float = 1.0):
        if not freedom > least > 0:
            raise ValueError(f"freedom: expected a number above least = {least}, got {freedom}")
        self.shape, self.least = tuple(shape), least
        self.raw = nnx.Param(jnp.full(shape, softplus_inverse(jnp.asarray(freedom - least))))

    def freedom(self) -> Float[Array, "*event"]:
        """ν = least + log(1 + e^raw)."""
        return self.least + softplus(self.raw[...])

    def log_prob(self, z: Float[Array, "n *event"]) -> Float[Array, "n"]:
        """Σ_i log p(z_i; ν_i)."""
        freedom = self.freedom().astype(z.dtype)[None]
        return student_t.log_prob(z, freedom).sum(axis=tuple(range(1, z.ndim)))

    def sample(self, key: Key, n: int) -> Float[Array, "n *event"]:
        """n exact draws."""
        return student_t.sample(jnp.broadcast_to(self.freedom(), (n, *self.shape)), key)


class Mixture(nnx.Module):
    """z ~ Σ_k w_k N(μ_k, diag e^ℓ_k), all of it learned: several modes without tearing the plane.

    Args:
      n: D.
      n_components: K.
      spread: standard deviation of the first means.
      rngs: keys for initialization.
    """

    def __init__(self, n: int, n_components: int, *, spread: float = 1.0, rngs: nnx.Rngs):
        if n_components < 1:
            raise ValueError(f"n_components: expected at least 1, got {n_components}")
        self.shape = (n,)
        self.logits = nnx.Param(jnp.zeros(n_components))
        self.means = nnx.Param(spread * jax.random.normal(rngs.params(), (n_components, n)))
        self.log_variances = nnx.Param(jnp.zeros((n_components, n)))

    def log_prob(self, z: Float[Array, "n d"]) -> Float[Array, "n"]:
        """Log Σ_k w_k N(z; μ_k, diag e^ℓ_k)."""
        each = normal.log_prob(z[:, None], self.means[...][None], self.log_variances[...][None])
        return logsumexp(jax.nn.log_softmax(self.logits[...])[None] + each.sum(-1), axis=-1)

    def sample(self, key: Key, n: int) -> Float[Array, "n d"]:
        """n exact draws."""
        which_key, eps_key = jax.random.split(key)
        k = jax.random.categorical(which_key, self.logits[...], shape=(n,))
        eps = jax.random.normal(eps_key, (n, *self.shape))
        return normal.reparameterize(self.means[...][k], self.log_variances[...][k], eps)


class Uniform(nnx.Module):
    """z uniform in [low, high)^D, for flows on an interval or a circle; outside, −∞."""

    def __init__(self, *shape: int, low: float = 0.0, high: float = 1.0):
        if not high > low:
            raise ValueError(f"high: expected a number above low = {low}, got {high}")
        self.shape, self.low, self.high = tuple(shape), low, high

    def log_prob(self, z: Float[Array, "n *event"]) -> Float[Array, "n"]:
        """−D log(high − low)."""
        axes = tuple(range(1, z.ndim))
        inside = ((z >= self.low) & (z <= self.high)).all(axis=axes)
        return jnp.where(inside, -math.prod(self.shape) * math.log(self.high - self.low), -jnp.inf)

    def sample(self, key: Key, n: int) -> Float[Array, "n *event"]:
        """n exact draws."""
        return jax.random.uniform(key, (n, *self.shape), minval=self.low, maxval=self.high)
