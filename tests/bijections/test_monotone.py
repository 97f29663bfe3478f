# SPDX-License-Identifier: Apache-2.0
"""The network of sigmoids against its formula, to many digits."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxml.bijections import Sigmoids, sigmoids

RNG, K = np.random.default_rng(0), 5


@pytest.mark.parametrize("x", [-1e4, -30.0, -1.0, 0.0, 2.0, 50.0, 1e4])
def test_values_and_slopes_match_60_digits(x, x64):
    """logit(Σ w σ(ax + b)), far out too, where the sum is 0 or 1 to every digit of a float."""
    raw = RNG.normal(size=(3, K))
    y, log_slope = sigmoids(jnp.asarray(x), Sigmoids(*map(jnp.asarray, raw)))
    with mpmath.workdps(10_000 if abs(x) > 100 else 60):
        mp = mpmath.mpf
        a = [mpmath.log1p(mpmath.exp(mp(s)) * (mpmath.e - 1)) for s in raw[0]]
        total = sum(mpmath.exp(mp(w)) for w in raw[2])
        w = [mpmath.exp(mp(v)) / total for v in raw[2]]

        def d(t):
            return sum(
                wk / (1 + mpmath.exp(-(ak * t + bk)))
                for wk, ak, bk in zip(w, a, map(mp, raw[1]), strict=True)
            )

        t = mp(x)
        value = mpmath.log(d(t)) - mpmath.log(1 - d(t))
        slope = sum(
            wk * ak / ((1 + mpmath.exp(-(ak * t + bk))) * (1 + mpmath.exp(ak * t + bk)))
            for wk, ak, bk in zip(w, a, map(mp, raw[1]), strict=True)
        )
        expected = mpmath.log(slope) - mpmath.log(d(t)) - mpmath.log(1 - d(t))
        np.testing.assert_allclose(float(y), float(value), rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(float(log_slope), float(expected), rtol=1e-11, atol=1e-12)


def test_raw_numbers_of_zero_are_the_identity(x64):
    x = jnp.linspace(-40, 40, 81)
    y, log_slope = sigmoids(x, Sigmoids(*jnp.zeros((3, K))))
    np.testing.assert_allclose(y, x, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(log_slope, 0, atol=1e-13)
