# SPDX-License-Identifier: Apache-2.0
"""A flow over whole numbers: noise is added, and the density bounds the mass from below."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Integer, Shaped

from jaxml.bijections import dequantize, quantize, uniform_noise
from jaxml.models.condition import Context, unpack
from jaxml.models.flow import model as density
from jaxml.models.flow.model import Flow
from jaxml.numerics import logsumexp, widen
from jaxml.types import Batch, Key, Metrics, Scalar

Whole = Shaped[Array, "batch *event"]


class Dequantized(nnx.Module):
    """P(x) = ∫ p((x + u)/L) L^−D du over u in [0, 1)^D, for x in {0, …, L − 1}^D.

    Args:
      flow: p, over the unit cube.
      noise: q(u | x), a flow over the unit cube conditioned on 2x/L − 1; None is uniform noise.
      levels: L.

    Raises:
      ValueError: if there are fewer than two levels.

    Reference: Theis et al. 2016, section 3.1, arXiv:1511.01844; with learned noise Ho et al. 2019,
    section 3.1, arXiv:1902.00275.
    """

    def __init__(self, flow: Flow, noise: Flow | None = None, *, levels: int = 256):
        if levels < 2:
            raise ValueError(f"levels: expected at least 2, got {levels}")
        self.flow, self.noise, self.levels = flow, noise, levels


def log_weight(
    model: Dequantized, x: Whole, key: Key, *, context: Context = None
) -> Float[Array, "batch"]:
    """log p(y) − log q(u | x) − D log L at one u ~ q: its exponential has the mean P(x).

    In nats of probability mass; the mean over draws is a lower bound of log P(x).
    """
    u, log_q = _noise(model, x, key)
    y, log_slope = dequantize(x, u, model.levels)
    volume = log_slope.sum(axis=tuple(range(1, x.ndim)))
    return density.log_prob(model.flow, y, context=context) + volume - log_q


def log_likelihood(
    model: Dequantized, x: Whole, key: Key, *, n_samples: int, context: Context = None
) -> Float[Array, "batch"]:
    """Log of the mean weight over n draws of noise: a lower bound of log P(x), tighter with n.

    One draw is `log_weight`, the bound that training raises. Under the noise of `flow.noise` the
    weights have no finite variance, for its density vanishes at the edges of a cell faster than
    any power of the distance: the bound holds, but tightens slowly.

    Raises:
      ValueError: if `n_samples` is below 1.

    Reference: Burda et al. 2016, equation 8, arXiv:1509.00519.
    """
    if n_samples < 1:
        raise ValueError(f"n_samples: expected at least 1, got {n_samples}")
    keys = jax.random.split(key, n_samples)
    weights = jax.lax.map(lambda key: log_weight(model, x, key, context=context), keys)
    return logsumexp(weights, axis=0) - math.log(n_samples)


def loss(model: Dequantized, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """Mean −log_weight over the batch in nats, and the same in bits a dimension.

    Args:
      model: flow and noise.
      batch: x, or `{"x": x, "y": context}` for a conditional flow.
      key: for the noise.
    """
    x, context = unpack(batch)
    value = jnp.mean(log_weight(model, x, key, context=context))
    bits = -value / (math.prod(x.shape[1:]) * math.log(2))
    return -value, {"bits_per_dim": bits}


def sample(
    model: Dequantized, key: Key, n: int, *, temperature: float = 1.0, context: Context = None
) -> Integer[Array, "n *event"]:
    """n draws of whole numbers.

    Args:
      model: flow and noise.
      key: for the draws.
      n: how many.
      temperature: what z is multiplied with; below 1 samples are plainer, and no longer from P.
      context: a row a draw.
    """
    z = temperature * model.flow.base.sample(key, n)
    return quantize(density.generate(model.flow, z, context=context), model.levels)


def start(model: Dequantized, x: Whole, key: Key, *, context: Context = None) -> Dequantized:
    """The model with every activation normalization begun from this batch, under uniform noise."""
    u, noise = uniform_noise(x, key), model.noise
    flow = density.start(model.flow, dequantize(x, u, model.levels)[0], context=context)
    if noise is not None:
        noise = density.start(noise, u, context=_centred(model, x))
    return Dequantized(flow, noise, levels=model.levels)


def _noise(
    model: Dequantized, x: Whole, key: Key
) -> tuple[Float[Array, "batch *event"], Float[Array, "batch"]]:
    if model.noise is None:
        u = uniform_noise(x, key)
        return u, jnp.zeros(len(x), u.dtype)
    return density.sample_and_log_prob(model.noise, key, len(x), context=_centred(model, x))


def _centred(model: Dequantized, x: Whole) -> Float[Array, "batch *event"]:
    return 2 * widen(x) / model.levels - 1
