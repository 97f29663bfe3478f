# SPDX-License-Identifier: Apache-2.0
"""Annealed importance sampling: log Z from below, and backwards from above.

Between a density f_0 that one can draw from and the target f_1 lies a path f_β. A chain follows it
and has a weight whose mean is Z_1/Z_0; that of a chain which goes the other way is Z_0/Z_1. By
Jensen's inequality the two logarithms are, on average, on either side of the truth.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.importance import LogMean, log_mean
from jaxml.types import Key, Scalar

Density = Callable[[Any], Scalar]
"""`x -> log f(x)` in nats, of one x, which may be any pytree."""
Path = Callable[[Any, Scalar], Scalar]
"""`(x, β) -> log f_β(x)`."""
Kernel = Callable[[Any, Scalar, Key], Any]
"""`(x, β, key) -> x`, of one x: keeps f_β."""


def geometric(log_start: Density, log_target: Density) -> Path:
    """log f_β = (1 − β) log f_0 + β log f_1."""
    return lambda x, beta: (1 - beta) * log_start(x) + beta * log_target(x)


def anneal(
    path: Path, kernel: Kernel, x: Any, key: Key, betas: Float[Array, "n"]
) -> tuple[Any, Scalar]:
    """log w = Σ_k log f_{β_k}(x_{k−1}) − log f_{β_{k−1}}(x_{k−1}), x_k from the kernel at β_k.

    Args:
      path: log f_β.
      kernel: a step that keeps f_β.
      x: one exact draw at the first β.
      key: for the kernel.
      betas: rising from 0 to 1.

    Returns:
      The last x, and log w with E w = Z_1/Z_0.

    Raises:
      ValueError: for fewer than two of them.

    Reference: Neal 2001, section 2, arXiv:physics/9803008.
    """

    def step(carry, place):
        x, log_w = carry
        i, now, then = place
        log_w = log_w + path(x, then) - path(x, now)
        return (kernel(x, then, jax.random.fold_in(key, i)), log_w), None

    return _follow(step, x, betas)


def anneal_back(
    path: Path, kernel: Kernel, x: Any, key: Key, betas: Float[Array, "n"]
) -> tuple[Any, Scalar]:
    """log w = Σ_k log f_{β_{k−1}}(x_{k−1}) − log f_{β_k}(x_{k−1}) from β_n down, x_{k−1} from x_k.

    The way of `anneal` in reverse: here the kernel moves before β changes.

    Args:
      path: log f_β.
      kernel: a step that is reversible with respect to f_β, as those of Metropolis are.
      x: one exact draw at the last β.
      key: for the kernel.
      betas: rising from 0 to 1, as for `anneal`.

    Returns:
      The last x, and log w with E w = Z_0/Z_1.

    Raises:
      ValueError: for fewer than two of them.

    Reference: Grosse et al. 2015, section 3, arXiv:1511.02543.
    """

    def step(carry, place):
        x, log_w = carry
        i, now, then = place
        x = kernel(x, now, jax.random.fold_in(key, i))
        return (x, log_w + path(x, then) - path(x, now)), None

    return _follow(step, x, betas[::-1])


def lower_bound(path: Path, kernel: Kernel, x: Any, key: Key, betas: Float[Array, "n"]) -> LogMean:
    """A stochastic lower bound of log Z_1/Z_0 in nats: log of the mean weight of many chains.

    Its expectation is below the truth; it is above by b nats with a probability below e^−b.

    Args:
      path: log f_β.
      kernel: a step that keeps f_β.
      x: exact draws at β = 0, one a chain along the leading axis.
      key: for the kernels.
      betas: rising from 0 to 1.

    Raises:
      ValueError: for fewer than two chains or βs.

    Reference: Grosse et al. 2015, section 2.3, arXiv:1511.02543.
    """
    return log_mean(_many(anneal, path, kernel, x, key, betas))


def upper_bound(path: Path, kernel: Kernel, x: Any, key: Key, betas: Float[Array, "n"]) -> LogMean:
    """A stochastic upper bound of log Z_1/Z_0 in nats: −log of the mean weight on the way back.

    It is one if x are exact draws of the target. Where they come from chains that have not mixed it
    is an estimate: modes that no chain has found are missing from it.

    Args:
      path: log f_β.
      kernel: a step that is reversible with respect to f_β.
      x: exact draws at β = 1, one a chain along the leading axis.
      key: for the kernels.
      betas: rising from 0 to 1.

    Raises:
      ValueError: for fewer than two chains or βs.

    Reference: Grosse et al. 2015, section 3, arXiv:1511.02543.
    """
    found = log_mean(_many(anneal_back, path, kernel, x, key, betas))
    return found._replace(value=-found.value)


def _many(way: Callable, path: Path, kernel: Kernel, x: Any, key: Key, betas: Array) -> Array:
    keys = jax.random.split(key, len(jax.tree.leaves(x)[0]))
    return jax.vmap(lambda x, key: way(path, kernel, x, key, betas)[1])(x, keys)


def _follow(step: Callable, x: Any, betas: Array) -> tuple[Any, Scalar]:
    n = betas.shape[0] - 1
    if n < 1:
        raise ValueError(f"betas: expected at least 2, got {n + 1}")
    places = (jnp.arange(n), betas[:-1], betas[1:])
    (x, log_w), _ = jax.lax.scan(step, (x, jnp.zeros((), betas.dtype)), places)
    return x, log_w
