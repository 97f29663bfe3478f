# SPDX-License-Identifier: Apache-2.0
"""Adafactor: second moments of a matrix from its row and column sums."""

import jax.numpy as jnp
import numpy as np

from jaxml.optimizers.optimizer import Optimizer, Rate, fraction, not_negative, per_leaf, rate_at


def adafactor(
    rate: Rate,
    *,
    power: float = 0.8,
    eps: float = 1e-30,
    clip: float = 1.0,
    relative: bool = True,
    least_scale: float = 1e-3,
    least_size: int = 128,
    momentum: float = 0.0,
) -> Optimizer:
    """R ← ρR + (1 − ρ) mean_cols(g² + ε), C likewise; v̂ = R Cᵀ/mean(R); θ ← θ − η·s·clip(g/√v̂).

    ρ = 1 − t^−power grows with the step and needs no correction of a bias; clip divides by
    max(1, RMS/d); s is the RMS of θ. Memory for a matrix m × n is m + n numbers.

    Args:
      rate: η, a number or a schedule; the paper's is min(10⁻², 1/√t).
      power: the exponent of ρ.
      eps: ε₁, added to the squares.
      clip: d, the largest root mean square of a step before η.
      relative: whether steps scale with the root mean square of the leaf.
      least_scale: ε₂, the least such scale.
      least_size: leaves are factored if their two longest axes are at least this long.
      momentum: decay of an average of the steps; 0 keeps none.

    Raises:
      ValueError: if an argument lies outside its range, or, at `update`, without parameters.

    Reference: Shazeer and Stern 2018, algorithms 4 to 6, arXiv:1804.04235.
    """
    beta, tiny = fraction("momentum", momentum), not_negative("eps", eps)
    if not (power > 0 and clip > 0 and least_size > 0):
        raise ValueError(
            f"expected positive power, clip and least_size, got {power}, {clip}, {least_size}"
        )

    def begin(p):
        axes = _longest(p.shape, least_size)
        slots = {"velocity": jnp.zeros_like(p)} if beta else {}
        if axes is None:
            return slots | {"square": jnp.zeros_like(p)}
        row, column = axes
        return slots | {
            "rows": jnp.zeros_like(p.sum(column)),
            "columns": jnp.zeros_like(p.sum(row)),
        }

    def step(g, slots, p, eta, rho):
        axes, square = _longest(p.shape, least_size), jnp.square(g) + tiny
        if axes is None:
            new = {"square": rho * slots["square"] + (1 - rho) * square}
            u = g / jnp.sqrt(new["square"])
        else:
            row, column = axes
            new = {
                "rows": rho * slots["rows"] + (1 - rho) * square.mean(column),
                "columns": rho * slots["columns"] + (1 - rho) * square.mean(row),
            }
            # The row axis has moved where the longer axis stood before it.
            inner = row - (column < row)
            rows = new["rows"] / new["rows"].mean(inner, keepdims=True)
            u = g / jnp.sqrt(jnp.expand_dims(rows, column) * jnp.expand_dims(new["columns"], row))
        u = eta * u / jnp.maximum(1.0, _rms(u) / clip)
        if relative:
            u = u * jnp.maximum(_rms(p), least_scale)
        if beta:
            u = new["velocity"] = beta * slots["velocity"] + (1 - beta) * u
        return -u, new

    return per_leaf(
        begin,
        step,
        lambda n: (rate_at(rate, n), 1 - (n + 1) ** -power),
        needs_params=True,
    )


def _longest(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """The second longest and the longest axis, if both are long enough."""
    if len(shape) < 2:
        return None
    *_, second, first = (int(i) for i in np.argsort(shape))
    return (second, first) if shape[second] >= least else None


def _rms(x):
    return jnp.sqrt(jnp.mean(jnp.square(x)))
