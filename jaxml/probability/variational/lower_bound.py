# SPDX-License-Identifier: Apache-2.0
"""The evidence lower bound of any density that can be evaluated up to a constant."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array

from jaxml.probability.monte_carlo import Estimate, estimate
from jaxml.probability.variational.family import NORMAL, Family
from jaxml.types import Key, Scalar


def elbo(
    log_joint: Callable[[Array], Scalar], q: Any, key: Key, n: int, *, family: Family = NORMAL
) -> Estimate:
    """E_q[log p(x, z) − log q(z)] = log p(x) − KL(q‖p(z|x)), in nats, from n draws.

    The entropy of q is sampled too: where q is the posterior every draw has the value log p(x), and
    the standard error is 0.

    Args:
      log_joint: `z -> log p(x, z)`, of one z.
      q: parameters of the family.
      key: for the draws.
      n: how many, 2 or more.
      family: of q.

    Raises:
      ValueError: for fewer than two draws.
    """
    if n < 2:
        raise ValueError(f"n: a standard error needs at least 2 draws, got {n}")
    z = family.sample(q, key, n)
    return estimate(jax.vmap(lambda z: log_joint(z) - family.log_prob(q, z))(z))
