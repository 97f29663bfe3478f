# SPDX-License-Identifier: Apache-2.0
"""What energies over digits share: images in [−1, 1] under a little noise, and their chains."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.digits_images import LEVELS
from jaxml.types import Array, Key

D = 64


def scaled(x: np.ndarray) -> np.ndarray:
    """Whole numbers 0 to 16 as flat images in [−1, 1]."""
    return (2 * x.reshape(-1, D).astype(np.float32) / (LEVELS - 1)) - 1


def blurred(sigma: float, x: Array, key: Key) -> Array:
    """x + σ ε, held in [−1, 1]: without it an energy may be as steep as it likes between levels."""
    return jnp.clip(x + sigma * jax.random.normal(key, x.shape), -1, 1)


def fresh(key: Key, n: int) -> Array:
    """Where chains begin: uniform noise."""
    return jax.random.uniform(key, (n, D), minval=-1.0, maxval=1.0)


def shown(x: np.ndarray) -> np.ndarray:
    """Images in [0, 1] with axes for height and width."""
    return np.clip((np.asarray(x) + 1) / 2, 0, 1).reshape(-1, 8, 8)
