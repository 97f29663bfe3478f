# SPDX-License-Identifier: Apache-2.0
"""How a game of two learners moves near a point: the spectrum of its update."""

from collections.abc import Callable

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree


def game_spectrum(update: Callable[[PyTree], PyTree], params: PyTree) -> np.ndarray:
    """Eigenvalues of ∂update/∂params, complex, the largest in absolute value first.

    Near a fixed point the distance to it changes by the largest |λ| a step: learning converges
    where all are below 1, and circles or leaves where one is not, whatever the losses say. A
    gradient step on one loss has real eigenvalues; a game has complex ones.

    Args:
      update: one step of all players, `params -> params`, of the same structure.
      params: real numbers, few enough for a matrix of them; a fixed point.

    Raises:
      ValueError: if the update changes the number of parameters.

    Reference: Mescheder et al. 2018, section 3, arXiv:1801.04406; Nagarajan and Kolter 2017,
    arXiv:1706.04156.
    """
    flat, unravel = ravel_pytree(params)

    def step(flat: jax.Array) -> jax.Array:
        return ravel_pytree(update(unravel(flat)))[0]

    jacobian = np.asarray(jax.jacfwd(step)(flat), np.float64)
    if jacobian.shape != (flat.size, flat.size):
        raise ValueError(f"update: expected {flat.size} parameters, got {jacobian.shape[0]}")
    values = np.linalg.eigvals(jacobian).astype(np.complex128)
    return values[np.argsort(-np.abs(values), kind="stable")]
