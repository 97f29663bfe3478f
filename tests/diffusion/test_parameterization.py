# SPDX-License-Identifier: Apache-2.0
"""All parameterizations say the same: round trips, and the exact answers for Gaussian data."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d

RNG = np.random.default_rng(0)
ALL = {p.name: p for p in (d.EPS, d.X0, d.V, d.SCORE, d.FLOW, d.preconditioned(0.5))}
SCHEDULES = {"cosine": d.cosine(), "ve": d.variance_exploding(), "rectified": d.rectified()}


def levels(low, high, dtype):
    """Noise of a variance-preserving schedule at log-SNRs between two."""
    t = jnp.linspace(0.0, 1.0, 41, dtype=dtype)
    return d.linear_log_snr(low, high).at(t)


def drawn(noise, shape=(5,)):
    n, dtype = len(noise.alpha), noise.alpha.dtype
    x0, eps = (jnp.asarray(RNG.normal(size=(n, *shape)), dtype) for _ in range(2))
    return d.Clean(x0, eps), d.diffuse(x0, eps, noise)


@pytest.mark.parametrize("given", ALL)
@pytest.mark.parametrize("wanted", ALL)
@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-5), ("f8", 1e-10)])
def test_there_and_back(given, wanted, dtype, tol, x64):
    """For signal-to-noise ratios from 1e-4 to 1e4, in units of the largest number on the way.

    Beside the tolerance, what two roundings of x_t make: at σ = 0.01 each is an error of ε a
    hundred times as large.
    """
    noise = levels(math.log(1e-4), math.log(1e4), dtype)
    clean, x = drawn(noise)
    out = ALL[given].target(clean, noise.over(x))
    other = d.convert(out, x, noise, ALL[given], ALL[wanted])
    back = d.convert(other, x, noise, ALL[wanted], ALL[given])
    scale = np.stack([np.abs(np.asarray(a)).max(1) for a in (out, other, x)]).max(0)
    error = np.abs(np.asarray(back) - np.asarray(out)).max(1) / scale
    root = np.exp(np.abs(np.asarray(noise.log_snr)) / 2)
    assert (error <= tol + 2 * np.finfo(dtype).eps * root).all()
    assert error[np.abs(np.asarray(noise.log_snr)) < 4].max() <= tol


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ALL)
def test_the_meaning_of_a_target_is_what_it_was_made_of(name, schedule, x64):
    noise = SCHEDULES[schedule].at(jnp.linspace(0.1, 0.9, 9))
    clean, x = drawn(noise)
    found = ALL[name].meaning(ALL[name].target(clean, noise.over(x)), x, noise.over(x))
    for part, truth in zip(found, clean, strict=True):
        np.testing.assert_allclose(part, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_gaussian_data_have_exact_answers(schedule, x64):
    """x_0 ~ N(m, S): the formulas of E[x_0 | x_t], and what every network should then say."""
    m, root = RNG.normal(size=3), RNG.normal(size=(3, 3))
    cov = root @ root.T
    noise = SCHEDULES[schedule].at(jnp.asarray(0.4))
    a, s = float(noise.alpha), float(noise.sigma)
    x = RNG.normal(size=(6, 3))
    pull = (x - a * m) @ np.linalg.inv(a**2 * cov + s**2 * np.eye(3))
    x0, eps, score = m + a * pull @ cov, s * pull, -pull
    expected = {"x0": x0, "eps": eps, "score": score, "v": a * eps - s * x0, "flow": eps - x0}
    data = s / a, 0.25 / ((s / a) ** 2 + 0.25)
    size = data[0] * 0.5 / np.sqrt(data[0] ** 2 + 0.25)
    expected["edm 0.5"] = (x0 - data[1] * x / a) / size
    x = jnp.asarray(x)
    for given in ALL:
        for wanted in ALL:
            out = d.convert(jnp.asarray(expected[given]), x, noise, ALL[given], ALL[wanted])
            np.testing.assert_allclose(out, expected[wanted], rtol=1e-9, atol=1e-9)


def test_the_network_of_edm_reads_and_says_unit_variance():
    """At every σ, for data of variance σ_d²: 4.5 standard errors of a variance of 2e5 draws."""
    n, data = 200_000, 0.5
    bound = 4.5 * np.sqrt(2 / n)
    p = d.preconditioned(data)
    for t in (0.0, 0.3, 0.6, 1.0):
        noise = d.edm().at(jnp.asarray(t))
        x0 = jnp.asarray(data * RNG.normal(size=n), jnp.float32)
        eps = jnp.asarray(RNG.normal(size=n), jnp.float32)
        said = p.target(d.Clean(x0, eps), noise)
        read = p.scale_in(noise) * d.diffuse(x0, eps, noise)
        assert abs(np.var(np.asarray(said, "f8")) - 1) < bound
        assert abs(np.var(np.asarray(read, "f8")) - 1) < bound


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_velocity_is_affine_in_the_score(name, x64):
    """dx/dt = f x − ½ g² score, the probability-flow equation, is α′ x_0 + σ′ ε."""
    t = jnp.asarray([0.2, 0.5, 0.7])
    noise, rates = SCHEDULES[name].at(t), d.rates(SCHEDULES[name], t)
    clean, x = drawn(noise, ())
    u = d.velocity(clean, rates)
    score = d.SCORE.target(clean, noise)
    np.testing.assert_allclose(u, rates.drift * x - 0.5 * rates.diffusion * score, rtol=1e-9)
    for part, truth in zip(d.from_velocity(u, x, noise, rates), clean, strict=True):
        np.testing.assert_allclose(part, truth, rtol=1e-9, atol=1e-9)


def test_straight_lines_have_the_velocity_that_flow_predicts(x64):
    t = jnp.asarray([0.0, 0.5, 1.0])
    noise, rates = d.rectified().at(t), d.rates(d.rectified(), t)
    clean, x = drawn(noise, ())
    np.testing.assert_allclose(d.velocity(clean, rates), d.FLOW.target(clean, noise), rtol=1e-12)
    found = d.FLOW.meaning(d.velocity(clean, rates), x, noise)
    np.testing.assert_allclose(found.x0, clean.x0, rtol=1e-12)
    np.testing.assert_allclose(found.eps, clean.eps, rtol=1e-12)


def test_noise_is_not_asked_for_where_no_signal_is_left():
    for p in (d.EPS, d.SCORE, d.preconditioned(1.0)):
        d.check_pair(p, d.cosine())
        with pytest.raises(ValueError, match="says nothing about x_0"):
            d.check_pair(p, d.zero_terminal(d.cosine()))
    for p in (d.X0, d.V, d.FLOW):
        d.check_pair(p, d.rectified())
    with pytest.raises(ValueError, match="sigma_data"):
        d.preconditioned(0.0)
