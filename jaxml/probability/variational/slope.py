# SPDX-License-Identifier: Apache-2.0
"""Slopes of the evidence lower bound in the parameters of q, from draws, without bias.

They point up; what descends takes them with the other sign.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.monte_carlo import Estimate, estimate
from jaxml.probability.variational.family import NORMAL, Family, MeanField, place
from jaxml.types import Key, Scalar


class Slopes(NamedTuple):
    """What the draws say of the bound and of its slope.

    Attributes:
      bound: the evidence lower bound in nats.
      slope: its slope, a pytree like q.
      standard_error: of the slope, number by number.
    """

    bound: Estimate
    slope: Any
    standard_error: Any


class Control(NamedTuple):
    """A function like log p(x, z) − log q(z) whose mean under q is known: a control variate.

    Attributes:
      value: `z -> h(z)`, not a function of q.
      expectation: `q -> E_q h`, whose slope takes the place of the sampled one.
    """

    value: Callable[[Array], Scalar]
    expectation: Callable[[Any], Scalar]


def reparameterized(
    log_joint: Callable[[Float[Array, "d"]], Scalar],
    q: MeanField,
    key: Key,
    n: int,
    *,
    stick: bool = False,
) -> Slopes:
    """(1/n) Σ ∂/∂q [log p(x, z_i) − log q(z_i)] at z_i = m + e^(ℓ/2) ε_i.

    Args:
      log_joint: `z -> log p(x, z)` of one z, differentiable.
      q: the parameters.
      key: for the draws.
      n: how many, 2 or more.
      stick: leave out ∂ log q/∂q at fixed z, whose mean is 0, so that only the path through z is
        left: where q is the posterior every draw's slope is 0 then. Away from it the full slope
        may vary less.

    Raises:
      ValueError: for fewer than two draws.

    Reference: Roeder, Wu and Duvenaud 2017, Sticking the landing, equation 6, arXiv:1703.09194.
    """
    _check(n)

    def one(eps: Array) -> tuple[Scalar, MeanField]:
        def value(q: MeanField) -> Scalar:
            z = place(q, eps)
            held = jax.lax.stop_gradient(q) if stick else q
            return log_joint(z) - NORMAL.log_prob(held, z)

        return jax.value_and_grad(value)(q)

    eps = jax.random.normal(key, (n, *q.mean.shape), q.mean.dtype)
    return _averaged(*jax.vmap(one)(eps))


def score_function(
    log_joint: Callable[[Array], Scalar],
    q: Any,
    key: Key,
    n: int,
    *,
    family: Family = NORMAL,
    leave_one_out: bool = True,
    control: Control | None = None,
) -> Slopes:
    """(1/n) Σ (f_i − f̄_(−i)) ∂ log q(z_i)/∂q, f = log p(x, z) − log q(z): REINFORCE, for any z.

    From each f the mean of the others is taken: it is independent of z_i and the score has mean 0,
    so there is no bias, constants of log p cancel, and where q is the posterior the slope is 0.
    Without that the variance is that of f itself, a large log p(x) included.

    Args:
      log_joint: `z -> log p(x, z)` of one z; need not be differentiable.
      q: parameters of the family.
      key: for the draws.
      n: how many, 2 or more.
      family: of q.
      leave_one_out: whether to take the means of the others.
      control: what is subtracted from f, with its own slope added.

    Raises:
      ValueError: for fewer than two draws.

    Reference: Kool, van Hoof and Welling 2019, Buy 4 REINFORCE samples, get a baseline for free!;
      with this f it is VarGrad, Richter et al. 2020, arXiv:2010.10436.
    """
    _check(n)
    z = family.sample(q, key, n)
    log_q, score = jax.vmap(jax.value_and_grad(family.log_prob), (None, 0))(q, z)
    f = jax.vmap(log_joint)(z) - log_q
    weight = f if control is None else f - jax.vmap(control.value)(z)
    if leave_one_out:
        weight = (weight - jnp.mean(weight)) * (n / (n - 1))
    terms = jax.tree.map(lambda s: weight.reshape(-1, *[1] * (s.ndim - 1)) * s, score)
    found = _averaged(f, terms)
    if control is None:
        return found
    known = jax.grad(control.expectation)(q)
    return found._replace(slope=jax.tree.map(jnp.add, found.slope, known))


def _check(n: int) -> None:
    if n < 2:
        raise ValueError(f"n: a standard error needs at least 2 draws, got {n}")


def _averaged(values: Float[Array, "n"], slopes: Any) -> Slopes:
    leaves, tree = jax.tree.flatten(slopes)
    means, errors = zip(*map(estimate, leaves), strict=True)
    return Slopes(estimate(values), tree.unflatten(means), tree.unflatten(errors))
