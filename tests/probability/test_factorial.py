# SPDX-License-Identifier: Apache-2.0
"""What is left of log x! after x log x − x."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp

from jaxml.probability import factorial

slope_of_remainder = jax.jit(jax.grad(lambda x: jnp.sum(factorial.stirling_remainder(x))))

POINTS = np.concatenate([np.geomspace(1e-8, 1e8, 200), np.linspace(0.5, 40, 200)])


@pytest.mark.parametrize(
    ("dtype", "tol", "tol_gradient"), [("f4", 1e-6, 1e-5), ("f8", 1e-14, 1e-12)]
)
def test_stirling_remainder_matches_60_digits(dtype, tol, tol_gradient, x64):
    """log Γ(x + 1) − x log x + x, compiled or not, and its slope ψ(x + 1) − log x; to 1 + |·|."""
    x = POINTS.astype(dtype)
    with mp.workdps(60):
        exact = [mp.mpf(float(v)) for v in x]
        value = np.array([float(mp.loggamma(v + 1) - v * mp.log(v) + v) for v in exact])
        slope = np.array([float(mpmath.digamma(v + 1) - mp.log(v)) for v in exact])
    for compiled in (factorial.stirling_remainder, jax.jit(factorial.stirling_remainder)):
        ours = compiled(jnp.asarray(x))
        assert ours.dtype == dtype
        ours = np.asarray(ours, np.float64)
        assert np.max(np.abs(ours - value) / (1 + np.abs(value))) <= tol
    error = np.abs(np.asarray(slope_of_remainder(jnp.asarray(x)), np.float64) - slope)
    assert np.max(error / (1 + np.abs(slope))) <= tol_gradient


def test_stirling_remainder_at_the_edges():
    """0! leaves nothing, however small x is its slope is finite; NaN stays NaN."""
    tiny = jnp.float32([1e-38, 1.2e-38, 1e-30, 1e-20])
    assert np.all(np.isfinite(slope_of_remainder(tiny)))
    assert factorial.stirling_remainder(jnp.float32(0)) == 0
    assert np.isfinite(slope_of_remainder(jnp.float32(0)))
    assert np.isnan(factorial.stirling_remainder(jnp.float32(jnp.nan)))
