# SPDX-License-Identifier: Apache-2.0
"""The Ising model on a rectangle under the contract: densities, draws, and four ways to learn it.

    model = ising.IsingGrid(8, 8)
    rule = descend(ising.loss, optimizer)                    # exactly, up to 20 columns
    rule = descend(ising.pseudolikelihood_loss, optimizer)   # every spin from its neighbours
    rule = descend(ising.bethe_loss, optimizer)              # messages in place of the sum
    rule = energy.rule(descend(partial(energy.contrastive_loss, alpha=0.0, energy=ising.energy),
                               optimizer), ising.walk, ising.fresh(8, 8))   # chains that live on

A batch is x, spins of ±1, `(batch, rows, columns)`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.models.condition import unpack
from jaxml.numerics import softplus
from jaxml.probability import ising as spins
from jaxml.types import Batch, Key, Metrics, Scalar

Spins = Float[Array, "batch rows columns"]


class IsingGrid(nnx.Module):
    """p(s) ∝ exp(Σ_⟨ij⟩ J_ij s_i s_j + Σ_i h_i s_i), every J and h free; 0 at first.

    Args:
      rows: of the rectangle.
      columns: of the rectangle; up to 20 for what is exact.

    Raises:
      ValueError: unless there are spins.
    """

    def __init__(self, rows: int, columns: int):
        grid = spins.uniform(rows, columns, 0.0)
        self.right, self.down = nnx.Param(grid.right), nnx.Param(grid.down)
        self.field = nnx.Param(grid.field)

    @property
    def grid(self) -> spins.Grid:
        """J and h as arrays."""
        return spins.Grid(self.right[...], self.down[...], self.field[...])


def loss(model: IsingGrid, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−log p, the mean over the batch, in nats; exact. Its slopes are E_model φ − E_data φ."""
    del key
    x, _ = unpack(batch)
    return -log_prob(model, x).mean(), {}


def pseudolikelihood_loss(model: IsingGrid, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
    """−Σ_i log p(s_i | its neighbours), the mean over the batch, in nats; no sum over states.

    Its minimum over infinite data is the truth, as that of −log p; on finite data it varies more.

    Reference: Besag 1975, Journal of the Royal Statistical Society D 24, section 3.
    """
    del key
    x, _ = unpack(batch)
    field = jax.vmap(lambda s: spins.local_field(model.grid, s))(x)
    return softplus(-2 * x * field).sum((1, 2)).mean(), {}


def bethe_loss(
    model: IsingGrid, batch: Batch, key: Key, *, n_steps: int = 50, damping: float = 0.0
) -> tuple[Scalar, Metrics]:
    """−log p with Bethe's log Z in place of the exact one: no bound, and exact for one row.

    Args:
      model: the model.
      batch: x.
      key: not used.
      n_steps: of the messages; the slopes go through all of them.
      damping: share of the old message in a new one.

    Raises:
      ValueError: for no step, and a damping outside of [0, 1).
    """
    del key
    x, _ = unpack(batch)
    found = spins.sum_product(model.grid, n_steps, damping=damping)
    return found.log_partition + energy(model, x).mean(), {"change": found.change}


def energy(model: IsingGrid, x: Spins) -> Float[Array, "batch"]:
    """−(Σ_⟨ij⟩ J_ij s_i s_j + Σ_i h_i s_i) = −log p − log Z, in nats."""
    return -jax.vmap(lambda s: spins.log_weight(model.grid, s))(x)


def log_prob(model: IsingGrid, x: Spins) -> Float[Array, "batch"]:
    """log p(s), in nats; exact.

    Raises:
      ValueError: for more than 20 columns.
    """
    return -energy(model, x) - spins.log_partition(model.grid)


def sample(model: IsingGrid, key: Key, n: int) -> Spins:
    """n independent draws, exactly.

    Raises:
      ValueError: for more than 20 columns.
    """
    return spins.sample(model.grid, key, n)


def walk(model: IsingGrid, x: Spins, key: Key, *, n_steps: int = 1) -> Spins:
    """Gibbs sweeps of every chain: the walk of persistent contrastive divergence (`energy.rule`).

    Args:
      model: the model.
      x: one row a chain.
      key: for the draws.
      n_steps: sweeps.

    Raises:
      ValueError: for less than one sweep.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")

    def step(x: Spins, i: Array) -> tuple[Spins, None]:
        keys = jax.random.split(jax.random.fold_in(key, i), len(x))
        return jax.vmap(lambda s, key: spins.gibbs_sweep(model.grid, s, key))(x, keys), None

    return jax.lax.scan(step, x, jnp.arange(n_steps))[0]


def fresh(rows: int, columns: int) -> Callable[[Key, int], Spins]:
    """`(key, n) -> x`: n rectangles of fair coins, where chains begin."""

    def begin(key: Key, n: int) -> Spins:
        return jax.random.rademacher(key, (n, rows, columns), jnp.float32)

    return begin


def kl_divergence(model: IsingGrid, other: IsingGrid) -> Scalar:
    """KL(p_model ‖ p_other) = Σ (θ − θ′)·E_model φ − log Z + log Z′, in nats; exact.

    Args:
      model: the law of the expectation.
      other: of the same size.

    Raises:
      ValueError: for more than 20 columns, and for rectangles of two sizes.
    """
    p, q = model.grid, other.grid
    if p.field.shape != q.field.shape:
        raise ValueError(f"other: expected size {p.field.shape}, got {q.field.shape}")
    log_z, means = jax.value_and_grad(spins.log_partition)(p)
    gaps = (jnp.sum((a - b) * m) for a, b, m in zip(p, q, means, strict=True))
    return sum(gaps, spins.log_partition(q) - log_z)


def entropy(model: IsingGrid) -> Scalar:
    """H = log Z − θ·E φ, in nats; exact.

    Raises:
      ValueError: for more than 20 columns.
    """
    log_z, means = jax.value_and_grad(spins.log_partition)(model.grid)
    return log_z - sum(
        (jnp.sum(a * m) for a, m in zip(model.grid, means, strict=True)), jnp.zeros_like(log_z)
    )


__all__ = [
    "IsingGrid",
    "bethe_loss",
    "energy",
    "entropy",
    "fresh",
    "kl_divergence",
    "log_prob",
    "loss",
    "pseudolikelihood_loss",
    "sample",
    "walk",
]
