# SPDX-License-Identifier: Apache-2.0
"""Schedules against their formulas in 40 digits, and their derivatives against the SDE's."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxml import diffusion as d

MP = mpmath.mp.clone()
MP.dps = 40


def vp(alpha):
    return alpha, MP.sqrt(1 - alpha**2)


def angle(t, high=15, low=-15):
    first, last = MP.atan(MP.exp(-MP.mpf(high) / 2)), MP.atan(MP.exp(-MP.mpf(low) / 2))
    return first + (last - first) * t


def offset_angle(t):
    first, last = MP.acos(MP.mpf("0.95")), MP.acos(MP.mpf("0.02"))
    return first + (last - first) * t


def linear_alpha(t):
    least, most = MP.mpf("0.1"), MP.mpf(20)
    return MP.exp(-(t * least + t**2 * (most - least) / 2) / 2)


def karras(t):
    first, last = MP.mpf("0.002") ** (MP.mpf(1) / 7), MP.mpf(80) ** (MP.mpf(1) / 7)
    return (first + (last - first) * t) ** 7


def truncated(t):
    """α of the cosine schedule moved so that it vanishes at 1 and stays at 0."""
    a, first, last = MP.cos(angle(t)), MP.cos(angle(0)), MP.cos(angle(1))
    return (a - last) * first / (first - last)


CASES = {
    "cosine": (d.cosine(), lambda t: (MP.cos(angle(t)), MP.sin(angle(t)))),
    "offset_cosine": (
        d.offset_cosine(),
        lambda t: (MP.cos(offset_angle(t)), MP.sin(offset_angle(t))),
    ),
    "linear_log_snr": (
        d.linear_log_snr(-10.0, 12.0),
        lambda t: vp(1 / MP.sqrt(1 + MP.exp(-(12 - 22 * t)))),
    ),
    "linear": (d.linear(), lambda t: vp(linear_alpha(t))),
    "sub_vp": (d.sub_variance_preserving(), lambda t: (linear_alpha(t), 1 - linear_alpha(t) ** 2)),
    "ve": (
        d.variance_exploding(),
        lambda t: (MP.mpf(1), MP.mpf("0.01") * (50 / MP.mpf("0.01")) ** t),
    ),
    "edm": (d.edm(), lambda t: (MP.mpf(1), karras(t))),
    "rectified": (d.rectified(), lambda t: (1 - t, t)),
    "zero_terminal": (d.zero_terminal(d.cosine()), lambda t: vp(truncated(t))),
}
TIMES = [0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tol"), [("f4", 4e-6), ("f8", 1e-12)])
def test_values_are_those_of_the_formula(name, dtype, tol, x64):
    """α and σ to a relative error, λ to an absolute one."""
    schedule, formula = CASES[name]
    times = np.asarray(TIMES, dtype)
    found = schedule.at(jnp.asarray(times))
    truth = [formula(MP.mpf(float(t))) for t in times]
    # Where α is shifted to 0, its own digits near the end are those of a difference.
    loose = 1e2 if name == "zero_terminal" else 1
    alpha, sigma = (np.array([float(pair[i]) for pair in truth]) for i in range(2))
    np.testing.assert_allclose(found.alpha, alpha, rtol=loose * tol)
    np.testing.assert_allclose(found.sigma, sigma, rtol=loose * tol)
    level = np.array([float(2 * MP.log(a / s)) for a, s in truth])
    np.testing.assert_allclose(found.log_snr, level, rtol=loose * tol, atol=loose * tol)


@pytest.mark.parametrize("name", CASES)
def test_noise_only_grows(name):
    """λ strictly falls over a thousand times in single precision; α and σ are in range."""
    noise = CASES[name][0].at(jnp.linspace(0.0, 1.0, 1001))
    assert (np.diff(np.asarray(noise.log_snr)) < 0).all()
    inner = [np.asarray(a)[1:-1] for a in noise]
    assert all(np.isfinite(a).all() for a in inner)
    assert (inner[0] > 0).all()
    assert (inner[0] <= 1).all()
    assert (inner[1] > 0).all()
    assert CASES[name][0].zero_terminal == (float(noise.alpha[-1]) == 0)


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_the_differential_equation(name, x64):
    """dσ²/dt = 2 f σ² + g², dα/dt = f α, g² = −σ² dλ/dt; slopes by central differences."""
    schedule = CASES[name][0]
    t, step = jnp.asarray([0.2, 0.5, 0.8]), 1e-6
    found, noise = d.rates(schedule, t), schedule.at(t)
    ends = [schedule.at(t + s) for s in (step, -step)]
    alpha, sigma, level = ((a - b) / (2 * step) for a, b in zip(*ends, strict=True))
    np.testing.assert_allclose(found.alpha, alpha, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.sigma, sigma, rtol=1e-6)
    np.testing.assert_allclose(found.drift * noise.alpha, alpha, rtol=1e-6, atol=1e-9)
    of_variance = 2 * found.drift * noise.sigma**2 + found.diffusion
    np.testing.assert_allclose(of_variance, 2 * noise.sigma * sigma, rtol=1e-6)
    np.testing.assert_allclose(found.diffusion, -(noise.sigma**2) * level, rtol=1e-6)


def test_the_linear_schedule_is_the_vp_equation(x64):
    """f = −½ β(t), g² = β(t)."""
    t = jnp.asarray([0.1, 0.6, 1.0])
    beta = 0.1 + 19.9 * t
    found = d.rates(d.linear(), t)
    np.testing.assert_allclose(found.drift, -0.5 * beta, rtol=1e-12)
    np.testing.assert_allclose(found.diffusion, beta, rtol=1e-10)


def test_the_ends_of_straight_lines_have_slopes():
    """Where flow matching begins and ends: α′ = −1, σ′ = 1 at t = 0 and 1."""
    found = d.rates(d.rectified(), jnp.asarray([0.0, 1.0]))
    np.testing.assert_array_equal(found.alpha, -1)
    np.testing.assert_array_equal(found.sigma, 1)


def test_equal_schedules_are_one_object():
    assert d.cosine() is d.cosine()
    assert d.edm(power=7.0) is d.edm(power=7.0)
    jax.jit(lambda schedule, t: schedule.at(t), static_argnums=0)(d.cosine(), jnp.asarray(0.5))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: d.cosine(3.0, 3.0), "high"),
        (lambda: d.linear_log_snr(1.0, -1.0), "high"),
        (lambda: d.offset_cosine(0.5, 0.6), "most"),
        (lambda: d.linear(0.0), "least"),
        (lambda: d.variance_exploding(2.0, 1.0), "least"),
        (lambda: d.edm(power=0.0), "power"),
    ],
)
def test_bad_numbers_are_refused(make, name):
    with pytest.raises(ValueError, match=name):
        make()
