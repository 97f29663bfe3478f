# SPDX-License-Identifier: Apache-2.0
"""Norms of parameters added to a loss: J + αΩ(w), over chosen leaves of a pytree."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxml.numerics import absolute, widen, widen_all
from jaxml.types import Scalar


def everything(path: str) -> bool:
    """True: choose every leaf that holds real numbers."""
    del path
    return True


def l1(tree: PyTree, *, where: Callable[[str], bool] = everything) -> Scalar:
    """Ω = ‖w‖₁ = Σ|w|, with gradient sign(w), 0 at 0.

    Args:
      tree: parameters.
      where: `path -> bool`, which leaves to count; a path reads `layers/0/kernel`.

    Raises:
      ValueError: if no leaf of real numbers is chosen.
    """
    return _total(absolute, tree, where)


def l2(tree: PyTree, *, where: Callable[[str], bool] = everything) -> Scalar:
    """Ω = ½‖w‖₂² = ½Σw², with gradient w.

    Under plain gradient descent α times this is weight decay by ηα; under a rule that rescales
    gradients, like Adam, it is not.

    Args:
      tree: parameters.
      where: `path -> bool`, which leaves to count; a path reads `layers/0/kernel`.

    Raises:
      ValueError: if no leaf of real numbers is chosen.

    Reference: Loshchilov and Hutter 2019, propositions 1 and 2, arXiv:1711.05101.
    """
    return 0.5 * _total(jnp.square, tree, where)


def _total(
    cost: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    tree: PyTree,
    where: Callable[[str], bool],
) -> Scalar:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    chosen = [
        leaf
        for path, (_, leaf) in zip(paths, leaves, strict=True)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) and where(path)
    ]
    if not chosen:
        raise ValueError(f"where: expected to choose a leaf of real numbers among {paths}")
    totals = widen_all(*(jnp.sum(cost(widen(jnp.asarray(leaf)))) for leaf in chosen))
    return jnp.sum(jnp.stack(totals))
