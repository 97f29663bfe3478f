# SPDX-License-Identifier: Apache-2.0
"""At which times a batch is trained: laws of t, drawn in strata so that a batch covers them."""

import math
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from jaxml.diffusion.grid import time_of
from jaxml.diffusion.schedule import Schedule
from jaxml.types import Key

Times = Callable[[Key, int], Float[Array, " n"]]
"""`(key, n) -> n times in (0, 1]`, each of them alone with the law, all together spread evenly."""


def uniform(key: Key, n: int) -> Float[Array, " n"]:
    """1 − (u + i/n mod 1) with one u for the batch: n times in (0, 1], as far apart as they can be.

    Each is uniform by itself, so that a mean is unbiased for every example; the mean over a batch
    varies much less than with independent times. Two of them are antithetic.

    Reference: Kingma et al. 2021, appendix I.1, arXiv:2107.00630.
    """
    u = jax.random.uniform(key, dtype=jnp.result_type(float))
    return 1 - jnp.mod(u + jnp.arange(n, dtype=u.dtype) / n, 1.0)


@cache
def logit_normal(mean: float = 0.0, scale: float = 1.0) -> Times:
    """log t/(1 − t) from N(m, s²): few times near the ends, for straight lines.

    Args:
      mean: m; above 0 for more noise.
      scale: s.

    Raises:
      ValueError: unless the scale is positive.

    Reference: Esser et al. 2024, section 3.1, arXiv:2403.03206.
    """
    _positive(scale)
    return lambda key, n: jax.nn.sigmoid(mean + scale * _normal(key, n))


@cache
def log_normal(schedule: Schedule, mean: float = -1.2, scale: float = 1.2) -> Times:
    """log σ/α from N(m, s²), as times of a schedule: most where denoising can be learned at all.

    Args:
      schedule: whose times they are; draws beyond its ends count at the ends.
      mean: m.
      scale: s.

    Raises:
      ValueError: unless the scale is positive.

    Reference: Karras et al. 2022, table 1, arXiv:2206.00364.
    """
    _positive(scale)
    return lambda key, n: time_of(schedule, -2 * (mean + scale * _normal(key, n)))


def _normal(key: Key, n: int) -> Float[Array, " n"]:
    """Quantiles of N(0, 1); of a number just below 1 for 1, which has none."""
    u = uniform(key, n)
    return ndtri(jnp.minimum(u, 1 - jnp.finfo(u.dtype).epsneg))


def _positive(scale: float) -> None:
    if not 0 < scale < math.inf:
        raise ValueError(f"scale: expected a positive number, got {scale}")
