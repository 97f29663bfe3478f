# SPDX-License-Identifier: Apache-2.0
"""Laws of a pixel's colours, given what a network says of it."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxml.losses.likelihood import Likelihood
from jaxml.numerics import soft_clip, widen
from jaxml.probability import discretized_logistic_mixture as mixture


class Law(NamedTuple):
    """p(x | raw) of one pixel.

    The constructors below are cached: equal options give the same object, so that two models built
    alike share one compiled program.

    Attributes:
      n_out: raw numbers of a pixel.
      n_groups: groups of colours that a network predicts one after another: all of them, or 1 where
        the law itself couples the colours.
      log_prob: `(x (..., colours), raw (..., n_out)) -> (..., n_groups)`, in nats.
      sample: `(raw, key) -> x (..., colours)`.
    """

    n_out: int
    n_groups: int
    log_prob: Callable[[Array, Array], Array]
    sample: Callable[[Array, Array], Array]


@cache
def each(likelihood: Likelihood, colours: int = 1) -> Law:
    """Every colour by itself, from raw numbers that may depend on the colours before it.

    Args:
      likelihood: of one colour.
      colours: how many.

    Raises:
      ValueError: for less than one colour.
    """
    _expect(colours=colours)
    return Law(colours * likelihood.n_heads, colours, likelihood.log_prob, likelihood.sample)


@cache
def logistic_mixture(n: int, colours: int = 1, *, n_levels: int = 256, limit: float = 7.0) -> Law:
    """A mixture of n discretized logistics, log s = c·tanh(raw/c), couplings tanh(raw).

    Args:
      n: components.
      colours: how many, coupled within a component.
      n_levels: levels of each colour in [−1, 1].
      limit: c, the largest |log s|.

    Raises:
      ValueError: for less than one component or colour, or a limit that is not positive.

    Reference: Salimans et al. 2017, PixelCNN++, section 2.1, arXiv:1701.05517.
    """
    _expect(n=n, colours=colours)
    if not limit > 0:
        raise ValueError(f"limit: expected a positive number, got {limit}")
    n_pairs = colours * (colours - 1) // 2

    def parts(raw: Array) -> tuple[Array, Array, Array, Array]:
        raw = widen(raw)
        cuts = [n, n * (1 + colours), n * (1 + 2 * colours)]
        logits, mean, log_scale, coupling = jnp.split(raw, cuts, axis=-1)
        mean, log_scale = (a.reshape(*a.shape[:-1], colours, n) for a in (mean, log_scale))
        coupling = jnp.tanh(coupling).reshape(*coupling.shape[:-1], n_pairs, n)
        return logits, mean, soft_clip(log_scale, limit), coupling

    def log_prob(x: Array, raw: Array) -> Array:
        return mixture.log_prob(widen(x), *parts(raw), n_levels=n_levels)[..., None]

    def sample(raw: Array, key: Array) -> Array:
        return mixture.sample(*parts(raw), key, n_levels=n_levels)

    return Law(n * (1 + 2 * colours + n_pairs), 1, log_prob, sample)


def _expect(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: expected at least 1, got {size}")
