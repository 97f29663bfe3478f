# SPDX-License-Identifier: Apache-2.0
"""Schedules of discrete diffusion against 40 digits, and times that lie evenly."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxml.diffusion import binomial_betas, stage

MP = mpmath.mp.clone()
MP.dps = 40
CASES = {
    "linear": (stage.linear(), lambda t: t, lambda t: 1 / t),
    "cosine": (
        stage.cosine(),
        lambda t: MP.cos(MP.pi / 2 * (1 - t)),
        lambda t: MP.pi / 2 * MP.tan(MP.pi / 2 * (1 - t)),
    ),
    "square": (stage.polynomial(), lambda t: t**2, lambda t: 2 / t),
    "power": (stage.polynomial(1.5), lambda t: t ** MP.mpf(1.5), lambda t: MP.mpf(1.5) / t),
}
TIMES = np.array([1e-7, 1e-3, 0.1, 0.4, 0.5, 0.9, 0.999, 1 - 2.0**-20])


def digits(dtype):
    return 4e-6 if dtype == np.float32 else 1e-14


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_parts_keep_their_digits(name, dtype, x64):
    """α, 1 − α and −α′/(1 − α) to a few units of the last place, near either end too."""
    schedule, lost, rate = CASES[name]
    t = jnp.asarray(TIMES, dtype)
    at = jax.jit(schedule)(t)
    truth = [MP.mpf(float(v)) for v in t]
    tolerance = digits(dtype)
    np.testing.assert_array_equal(at.t, t)
    np.testing.assert_allclose(at.lost, [float(lost(v)) for v in truth], rtol=tolerance)
    np.testing.assert_allclose(at.alpha, [float(1 - lost(v)) for v in truth], rtol=tolerance)
    found = jax.jit(lambda t: stage.rate(schedule, t))(t)
    # The cosine's rate vanishes at 1, and t = 1 − 2^−20 is all that single precision knows of it.
    truth = [float(rate(v)) for v in truth]
    np.testing.assert_allclose(found, truth, rtol=10 * tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_ends_are_data_and_noise(name):
    at = CASES[name][0](jnp.asarray([0.0, 1.0]))
    np.testing.assert_array_equal(at.alpha, [1, 0])
    np.testing.assert_array_equal(at.lost, [0, 1])


@pytest.mark.parametrize("name", CASES)
def test_parts_of_a_step_are_ratios(name, x64):
    """α_t/α_s, 1 − α_t/α_s and (α_s − α_t)/(1 − α_t) on fine and coarse grids."""
    for n_steps in (3, 1000):
        grid = CASES[name][0](stage.falling(n_steps))
        places, after, before = stage.pairs(grid)
        np.testing.assert_array_equal(places, np.arange(n_steps))
        a, b = (np.asarray(s.alpha, np.longdouble) for s in (after, before))
        np.testing.assert_allclose(stage.kept(before, after), a / b, rtol=1e-12)
        np.testing.assert_allclose(stage.drawn(before, after), 1 - a / b, rtol=1e-9)
        regained = stage.regained(before, after)
        np.testing.assert_allclose(regained, (b - a) / (1 - a), rtol=1e-9)
        np.testing.assert_array_less(0, stage.drawn(before, after))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n_steps", [1, 2, 3, 7, 10, 100])
def test_the_last_step_regains_everything_to_the_last_digit(name, n_steps):
    """Otherwise a mask in 10⁷ would be left at the end."""
    grid = CASES[name][0](stage.falling(n_steps))
    _, after, before = stage.pairs(grid)
    assert stage.regained(before, after)[-1] == 1


def test_a_chain_in_steps_is_the_product_of_its_parts(x64):
    betas = jnp.asarray([0.1, 0.3, 1e-9, 1.0])
    at = stage.of_betas(betas)
    alpha = np.append(1, np.cumprod(1 - np.asarray(betas)))
    np.testing.assert_allclose(at.alpha, alpha, rtol=1e-14)
    np.testing.assert_allclose(at.lost, 1 - alpha, rtol=1e-14)
    np.testing.assert_array_equal(at.t, [0, 0.25, 0.5, 0.75, 1])


def test_equal_parts_of_the_data_are_the_linear_schedule(x64):
    """β_t = 1/(T − t + 1) leaves 1 − t/T."""
    steps = stage.of_betas(binomial_betas(7))
    line = stage.linear()(jnp.arange(8) / 7)
    for a, b in zip(steps, line, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-15)


def test_a_row_has_its_own_stage():
    at = stage.linear()(jnp.asarray([0.2, 0.7])).over(jnp.zeros((2, 3, 4)))
    assert {a.shape for a in at} == {(2, 1, 1)}


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="power: expected"):
        stage.polynomial(0.5)
    with pytest.raises(ValueError, match="n_steps: expected"):
        stage.falling(0)
    assert stage.cosine() is stage.cosine()
