# SPDX-License-Identifier: Apache-2.0
"""Modules for tests whose weights come from NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="session")
def with_numbers():
    """`with_numbers(build)`: the module `build()` gives, filled by NumPy; nothing is compiled."""

    def fill(build):
        rng = np.random.default_rng(0)
        return jax.tree.map(
            lambda s: jnp.asarray(0.4 * rng.normal(size=s.shape), s.dtype), jax.eval_shape(build)
        )

    return fill
