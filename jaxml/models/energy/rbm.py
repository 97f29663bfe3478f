# SPDX-License-Identifier: Apache-2.0
"""Restricted Boltzmann machines: bits that see each other through hidden bits only.

E(v, h) = −bᵀv − cᵀh − vᵀWh,   p(v) = Σ_h e^{−E(v, h)}/Z = e^{−F(v)}/Z.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from jaxml.losses.contrastive import contrastive_divergence
from jaxml.numerics import softplus
from jaxml.probability import bernoulli
from jaxml.types import Batch, Key, Metrics, Scalar

Visible = Float[Array, "batch n_visible"]
Hidden = Float[Array, "batch n_hidden"]


class Weights(NamedTuple):
    """The parameters as arrays.

    Attributes:
      kernel: W.
      visible: b.
      hidden: c.
    """

    kernel: Float[Array, "n_visible n_hidden"]
    visible: Float[Array, "n_visible"]
    hidden: Float[Array, "n_hidden"]


class RBM(nnx.Module):
    """The parameters, W drawn from N(0, scale²).

    Args:
      n_visible: bits of an example.
      n_hidden: hidden bits.
      visible: b at the start; best the log-odds of the data's means, otherwise 0.
      scale: of W at the start.
      rngs: keys for initialization.

    Raises:
      ValueError: for less than one bit, or b of another length.

    Reference: Smolensky 1986; Hinton 2010, A practical guide to training RBMs, section 8.
    """

    def __init__(
        self,
        n_visible: int,
        n_hidden: int,
        *,
        visible: Float[Array, "n_visible"] | None = None,
        scale: float = 0.01,
        rngs: nnx.Rngs,
    ):
        if n_visible < 1 or n_hidden < 1:
            raise ValueError(
                f"n_visible, n_hidden: expected at least 1 of both, got {n_visible} and {n_hidden}"
            )
        b = jnp.zeros(n_visible) if visible is None else visible
        if b.shape != (n_visible,):
            raise ValueError(f"visible: expected {n_visible} numbers, got {b.shape}")
        init = nnx.initializers.normal(scale)
        self.kernel = nnx.Param(init(rngs.params(), (n_visible, n_hidden)))
        self.visible, self.hidden = nnx.Param(b), nnx.Param(jnp.zeros(n_hidden))


def weights(model: RBM) -> Weights:
    """(W, b, c)."""
    return Weights(model.kernel[...], model.visible[...], model.hidden[...])


def free_energy(model: RBM, v: Shaped[Array, "batch n_visible"]) -> Float[Array, "batch"]:
    """F(v) = −bᵀv − Σ_j softplus(c_j + (vᵀW)_j) = −log Σ_h e^{−E(v, h)} in nats."""
    w = weights(model)
    return -log_density(w, v.astype(w.kernel.dtype))


def log_density(w: Weights, v: Visible) -> Float[Array, "batch"]:
    """−F(v), from the weights."""
    return v @ w.visible + jnp.sum(softplus(hidden_logits(w, v)), axis=-1)


def hidden_logits(w: Weights, v: Visible) -> Hidden:
    """Log-odds of h_j = 1 given v: c + vᵀW."""
    return v @ w.kernel + w.hidden[None]


def visible_logits(w: Weights, h: Hidden) -> Visible:
    """Log-odds of v_i = 1 given h: b + hᵀWᵀ."""
    return h @ w.kernel.T + w.visible[None]


def gibbs(w: Weights, v: Visible, key: Key, n_steps: int = 1) -> Visible:
    """v → h → v′, n times; reversible with respect to p(v).

    Args:
      w: the weights.
      v: one row a chain.
      key: for the bits.
      n_steps: how often.

    Raises:
      ValueError: for less than one step.

    Reference: Hinton 2002, Neural Computation 14, section 5.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")

    def step(v, i):
        h_key, v_key = jax.random.split(jax.random.fold_in(key, i))
        h = bernoulli.sample(hidden_logits(w, v), h_key).astype(v.dtype)
        return bernoulli.sample(visible_logits(w, h), v_key).astype(v.dtype), None

    return jax.lax.scan(step, v, jnp.arange(n_steps))[0]


def walk(model: RBM, v: Visible, key: Key, *, n_steps: int = 1) -> Visible:
    """`gibbs` of a model: the walk of persistent contrastive divergence (`energy.rule`)."""
    return gibbs(weights(model), v, key, n_steps)


def loss(model: RBM, batch: Batch, key: Key, *, n_steps: int = 1) -> tuple[Scalar, Metrics]:
    """Mean F(v) − F(ṽ), ṽ from k Gibbs steps that begin at the data: contrastive divergence, CD-k.

    Its gradient is an approximation of that of −log p; the value means nothing. The metric
    `reconstruction` is the mean number of bits by which ṽ differs from v.

    Args:
      model: the model.
      batch: v, bits as 0 and 1.
      key: for the chains.
      n_steps: k.

    Reference: Hinton 2002, Neural Computation 14, equation 5.
    """
    v = batch.astype(model.kernel.dtype)
    fake = jax.lax.stop_gradient(walk(model, v, key, n_steps=n_steps))
    cost = contrastive_divergence(free_energy(model, v), free_energy(model, fake))
    return jnp.mean(cost), {"reconstruction": jnp.mean(jnp.sum(jnp.abs(v - fake), axis=1))}


def sample(model: RBM, key: Key, n: int, *, n_steps: int = 1000) -> Visible:
    """n draws, each the end of a chain of its own that began with independent bits.

    Args:
      model: the model.
      key: for the chains.
      n: how many.
      n_steps: Gibbs steps of every chain; modes that are far apart need many.
    """
    w = weights(model)
    begin_key, key = jax.random.split(key)
    begin = jnp.broadcast_to(w.visible[None], (n, len(w.visible)))
    v = bernoulli.sample(begin, begin_key).astype(w.visible.dtype)
    return gibbs(w, v, key, n_steps)
