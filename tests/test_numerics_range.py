# SPDX-License-Identifier: Apache-2.0
"""Where e^x can be written in each format of floating-point numbers."""

import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from jaxml import numerics


@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16", "float16"])
def test_exp_range_is_that_of_the_dtype(name, x64):
    """Its ends are log tiny and log max; e^x is finite and not 0 inside, infinite just above."""
    info = jnp.finfo(name)
    low, high = numerics.exp_range(numerics.FLOAT_FORMAT[name])
    with mp.workdps(60):
        exact = [float(mp.log(mp.mpf(float(v)))) for v in (info.tiny, info.max)]
    np.testing.assert_allclose([low, high], exact, rtol=1e-15)
    step = 4 * float(info.eps)
    inside = jnp.array([low * (1 - step), high * (1 - step)], name)
    assert np.isfinite(jnp.exp(inside).astype(float)).all()
    assert (jnp.exp(inside) > 0).all()
    assert jnp.exp(jnp.array(high * (1 + step), name)) == jnp.inf


def test_the_printed_range_of_exp_stops_a_factor_2_too_early():
    """1023 ln 2 and 127 ln 2 are no upper ends: half a step further e^x is finite."""
    for name, printed in (("float64", 1023), ("float32", 127)):
        high = numerics.exp_range(numerics.FLOAT_FORMAT[name])[1]
        beyond = np.asarray((printed + 0.5) * np.log(2), name)
        assert np.isfinite(np.exp(beyond))
        assert printed * np.log(2) < beyond < high
        np.testing.assert_allclose(high, (printed + 1) * np.log(2), rtol=1e-7)
    np.testing.assert_allclose(
        numerics.exp_range(numerics.FLOAT_FORMAT["float64"])[1], 709.78, atol=5e-3
    )
    np.testing.assert_allclose(
        numerics.exp_range(numerics.FLOAT_FORMAT["float32"])[1], 88.72, atol=5e-3
    )


def test_tf32_has_the_range_of_float32_and_not_that_of_10_exponent_bits():
    """Cutting float32's fraction to 10 bits leaves the exponent: 1 + 8 + 10 are the 19 bits."""
    bits = np.finfo(np.float32).max.view(np.uint32) & np.uint32(0xFFFFE000)
    kind = numerics.FLOAT_FORMAT["tf32"]
    assert 1 + kind.exponent_bits + kind.fraction_bits == 19
    np.testing.assert_allclose(
        numerics.exp_range(kind)[1], np.log(np.float64(bits.view(np.float32))), rtol=1e-15
    )
    printed = numerics.exp_range(numerics.FloatFormat(exponent_bits=10, fraction_bits=19))
    assert printed[1] > 3.9 * numerics.exp_range(kind)[1]
