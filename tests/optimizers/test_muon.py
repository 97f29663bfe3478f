# SPDX-License-Identifier: Apache-2.0
"""The matrices that Muon adds are orthogonal."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import optimizers


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (2, 3, 6)])
def test_orthogonalization_keeps_the_singular_vectors(shape, x64):
    """With the cubic-convergent quintic x becomes U Vᵀ of its singular value decomposition."""
    x = np.random.default_rng(0).normal(size=shape)
    found = optimizers.orthogonalize(
        jnp.asarray(x), iterations=30, coefficients=(15 / 8, -5 / 4, 3 / 8)
    )
    u, _, v = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(found, u @ v, atol=1e-10)


def test_five_iterations_bring_singular_values_near_one(x64):
    """Muon's quintic: between 0.7 and 1.2 from 0.01 of the norm upwards."""
    values = np.geomspace(0.01, 1, 8)
    left, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    x = left @ np.diag(values) @ left.T
    found = np.linalg.svd(optimizers.orthogonalize(jnp.asarray(x)), compute_uv=False)
    assert found.min() > 0.65
    assert found.max() < 1.25
