# SPDX-License-Identifier: Apache-2.0
"""Residual flows: y = x + g(x) of a contraction g, inverted by iteration, its density exact.

The log-determinant takes the whole Jacobian, D passes through g and an elimination; in many
dimensions `log_det_series` estimates it, with a bias that has a bound.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.bijections.bijection import Params
from jaxml.bijections.trace import with_jacobian
from jaxml.types import Scalar

Vector = Float[Array, "*batch d"]
Each = Float[Array, "*batch"]
Event = Float[Array, "d"]
Context = Float[Array, "*batch c"] | None
Contraction = Callable[..., Array]
"""`g(x, params, context)` of one event, of the shape of x; a function of the module's level."""


def residual(
    x: Vector, params: Params, context: Context = None, *, g: Contraction, lipschitz: float
) -> tuple[Vector, Each]:
    """y = x + g(x), with log det(I + ∂g/∂x), which is positive.

    Args:
      x: events.
      params: of g, the same for all events.
      context: a row an event.
      g: has |g(a) − g(b)| ≤ c |a − b| in the Euclidean norm.
      lipschitz: c; nothing checks that it holds.

    Raises:
      ValueError: if c is not in (0, 1), or g changes the shape of an event.

    Reference: Behrmann et al. 2019, theorem 1, arXiv:1811.00995.
    """
    _check(lipschitz)
    return _each(partial(_moved, g, params), x, context)


def residual_inverse(
    y: Vector, params: Params, context: Context = None, *, g: Contraction, lipschitz: float
) -> tuple[Vector, Each]:
    """The fixed point of x ← y − g(x), which comes nearer by the factor c each time.

    Derivatives are those of the implicit function, (I + ∂g/∂x)⁻¹, in every mode and order.

    Reference: Behrmann et al. 2019, algorithm 1, arXiv:1811.00995.
    """
    _check(lipschitz)

    def one(y, context):
        x = fixed_point(g, lipschitz, y, params, context)
        return x, -_moved(g, params, x, context)[1]

    return _each(one, y, context)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def fixed_point(
    g: Contraction, lipschitz: float, y: Event, params: Params, context: Array | None
) -> Event:
    """The x with x + g(x) = y, of one event: by iteration to rounding, then one step of Newton.

    Args:
      g: a contraction, see `residual`.
      lipschitz: c, which says after how many turns the iteration has settled.
      y: where to; differentiated, as are `params` and `context`.
      params: of g.
      context: of this event.
    """
    return _search(g, lipschitz, y, params, context)


def _search(g, lipschitz, y, params, context):
    # After n turns c^n / (1 − c) of the first step is left at most.
    eps = float(jnp.finfo(y.dtype).eps)
    most = math.ceil(math.log(eps * (1 - lipschitz)) / math.log(lipschitz))

    def unsettled(turn):
        n, x, change = turn
        return (n < most) & (change > eps * (1 + jnp.max(jnp.abs(x))))

    def again(turn):
        n, x, _ = turn
        new = y - g(x, params, context)
        return n + 1, new, jnp.max(jnp.abs(new - x))

    def correction(x):
        value, jacobian = _with_jacobian(lambda x: g(x, params, context), x)
        return jnp.linalg.solve(_eye(x) + jacobian, x + value - y)

    start = jnp.int32(0), y, jnp.asarray(jnp.inf, y.dtype)
    x = jax.lax.while_loop(unsettled, again, jax.lax.stop_gradient(start))[1]
    x = jax.lax.stop_gradient(x - correction(x))
    # The body has the derivatives of the rule below, for the reason that `root` gives.
    for _ in range(2):
        step = correction(x)
        x = x - (step - jax.lax.stop_gradient(step))
    return x


@fixed_point.defjvp
def _fixed_point_jvp(g, lipschitz, primals, tangents):
    y, params, context = primals
    x = fixed_point(g, lipschitz, y, params, context)
    _, jacobian = _with_jacobian(lambda x: g(x, params, context), x)
    _, along = jax.jvp(lambda p, c: g(x, p, c), (params, context), tangents[1:])
    return x, jnp.linalg.solve(_eye(x) + jacobian, tangents[0] - along)


def log_det_series(
    f: Callable[[Event], Event], x: Event, noise: Event, n_terms: int
) -> tuple[Event, Scalar]:
    """f(x) and Σ_{k ≤ n} (−1)^{k+1} εᵀJ^kε/k, whose mean lies within `series_bound` of the truth.

    The truth is log det(I + J), J = ∂f/∂x, of an f that is a contraction.

    Args:
      f: maps one event to one of the same shape.
      x: one event.
      noise: ε with E εεᵀ = I.
      n_terms: n; each costs one pass backwards.

    Reference: Behrmann et al. 2019, equation 4 and section 3.2, arXiv:1811.00995.
    """
    value, pull = jax.vjp(f, x)

    def term(row, k):
        (row,) = pull(row)
        return row, jnp.vdot(row, noise) / k

    signed = jnp.asarray([k if k % 2 else -k for k in range(1, n_terms + 1)], x.dtype)
    _, terms = jax.lax.scan(term, noise, signed)
    return value, terms.sum()


def series_bound(n_terms: int, dim: int, lipschitz: float) -> float:
    """−D (log(1 − c) + Σ_{k ≤ n} c^k/k): how far a mean of `log_det_series` may be off, in nats.

    Reference: Behrmann et al. 2019, theorem 3, arXiv:1811.00995.
    """
    _check(lipschitz)
    terms = math.fsum(lipschitz**k / k for k in range(1, n_terms + 1))
    return -dim * (math.log1p(-lipschitz) + terms)


def _moved(g, params, x, context):
    value, jacobian = _with_jacobian(lambda x: g(x, params, context), x)
    return x + value, jnp.linalg.slogdet(_eye(x) + jacobian)[1]


def _with_jacobian(f, x):
    value, jacobian = with_jacobian(f, x)
    if value.shape != x.shape:
        raise ValueError(f"g: expected the shape of x, {x.shape}, got {value.shape}")
    return value, jacobian


def _eye(x):
    return jnp.eye(len(x), dtype=x.dtype)


def _each(function, x, context):
    """A function of one event and its context, for batches of any rank."""
    batch = x.shape[:-1]
    rows = x.reshape(-1, x.shape[-1])
    contexts = None if context is None else context.reshape(len(rows), context.shape[-1])
    y, log_det = jax.vmap(function)(rows, contexts)
    return y.reshape(x.shape), log_det.reshape(batch)


def _check(lipschitz: float) -> None:
    if not 0 < lipschitz < 1:
        raise ValueError(f"lipschitz: expected a number between 0 and 1, got {lipschitz}")
