# SPDX-License-Identifier: Apache-2.0
"""The trace of a Jacobian and its size: exact from D columns, or estimated from one row."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.types import Scalar

Event = Float[Array, "*event"]


class Trace(NamedTuple):
    """f(x), tr J and ‖J‖² = Σ J_ij² of the Jacobian J = ∂f/∂x, or estimates of the last two."""

    value: Event
    trace: Scalar
    frobenius: Scalar


def exact_trace(f: Callable[[Event], Event], x: Event) -> Trace:
    """Σ_i e_iᵀ J e_i by D tangents e_i: f costs as much as for a batch of D.

    Args:
      f: maps one event to one of the same shape.
      x: one event; D is its size.
    """
    value, jacobian = with_jacobian(f, x)
    return Trace(value, jnp.trace(jacobian), jnp.sum(jnp.square(jacobian)))


def with_jacobian(f: Callable[[Event], Array], x: Event) -> tuple[Array, Array]:
    """f(x) and ∂f/∂x by D tangents, of events as vectors of their D numbers."""
    basis = jnp.eye(x.size, dtype=x.dtype)

    def column(tangent):
        value, out = jax.jvp(f, (x,), (tangent.reshape(x.shape),))
        return value, out.reshape(-1)

    return jax.vmap(column, out_axes=(None, 1))(basis)


def hutchinson_trace(f: Callable[[Event], Event], x: Event, noise: Event) -> Trace:
    """εᵀJε and ‖εᵀJ‖², whose means are tr J and ‖J‖² where E εεᵀ = I: one row, at any D.

    Signs of ±1 leave out the diagonal's share of the variance, so that a diagonal J has none.

    Args:
      f: maps one event to one of the same shape.
      x: one event.
      noise: ε, such as a draw of `jax.random.rademacher` or `jax.random.normal`.

    Reference: Grathwohl et al. 2019, section 3.1, arXiv:1810.01367.
    """
    value, pull = jax.vjp(f, x)
    (row,) = pull(noise)
    return Trace(value, jnp.sum(row * noise), jnp.sum(jnp.square(row)))
