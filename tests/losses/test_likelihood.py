# SPDX-License-Identifier: Apache-2.0
"""Decoder likelihoods: normalized, sampled from their own law, finite for any raw output."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxml.losses import likelihood


class Case(NamedTuple):
    likelihood: likelihood.Likelihood
    grid: np.ndarray  # where the probabilities live
    cell: float  # their measure: 1 for discrete data


BERNOULLI = Case(likelihood.bernoulli(), np.array([0.0, 1.0]), 1.0)
LOGISTIC = Case(likelihood.discretized_logistic(n_levels=16), np.linspace(-1, 1, 16), 1.0)
LINE = np.linspace(-40, 40, 200_001)
NORMAL = Case(likelihood.normal(), LINE, LINE[1] - LINE[0])
FIXED = Case(likelihood.normal_with_variance(0.3), LINE, LINE[1] - LINE[0])
CASES = {"bernoulli": BERNOULLI, "logistic": LOGISTIC, "normal": NORMAL, "fixed": FIXED}
EDGES = [s * v for v in (0.0, 1.0, 20.0, 89.0, 1e4) for s in (1, -1)]


@pytest.mark.parametrize("name", CASES)
def test_probabilities_sum_to_one(name, x64):
    """Σ or ∫ of exp(log_prob) over the data space is 1, for each of several raw outputs."""
    case = CASES[name]
    log_prob = jax.jit(case.likelihood.log_prob)
    for raw in ([0.3, -0.8], [-2.0, 1.5], [0.9, 0.0]):
        raw = raw[: case.likelihood.n_heads]
        raw = jnp.asarray(np.broadcast_to(raw, (case.grid.size, len(raw))))
        log_p = log_prob(jnp.asarray(case.grid[:, None]), raw)
        assert log_p.shape == (case.grid.size, 1)
        np.testing.assert_allclose(np.exp(np.asarray(log_p)).sum() * case.cell, 1, rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_samples_follow_log_prob(name):
    """Draws have the mean and the mean square that the probabilities give, within 4.5 s.e."""
    case, n = CASES[name], 40_000
    raw = jnp.asarray([0.3, -0.8][: case.likelihood.n_heads])
    wide = jnp.broadcast_to(raw, (case.grid.size, raw.size))
    grid = jnp.asarray(case.grid, jnp.float32)[:, None]
    p = np.exp(np.asarray(jax.jit(case.likelihood.log_prob)(grid, wide), np.float64)).ravel()
    p /= p.sum()
    draws = jax.jit(case.likelihood.sample)(jnp.broadcast_to(raw, (n, raw.size)), jax.random.key(0))
    assert draws.shape == (n, 1)
    draws = np.asarray(draws, np.float64).ravel()
    for moment in (1, 2):
        error = scipy.stats.sem(draws**moment)
        assert abs((draws**moment).mean() - p @ case.grid**moment) < 4.5 * error


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_any_raw_output_gives_finite_values_and_gradients(name, dtype):
    """Raw heads in ±{0, 1, 20, 89, 1e4} and data up to 1e4: value and gradient are finite."""
    case = CASES[name].likelihood
    heads = np.stack(np.meshgrid(EDGES, EDGES, [0, 1e-30, 1.0, 1e2, 1e4], indexing="ij"), -1)
    heads = jnp.asarray(heads.reshape(-1, 3), jnp.float32)
    raw, x = heads[:, : case.n_heads].astype(dtype), heads[:, 2:].astype(dtype)

    def total(raw):
        value = case.log_prob(x, raw)
        return jnp.sum(value), (value, case.location(raw))

    slope, (value, location) = jax.jit(jax.grad(total, has_aux=True))(raw)
    assert value.dtype == jnp.float32
    assert np.isfinite(value).all()
    assert np.isfinite(np.asarray(slope, np.float32)).all()
    assert np.isfinite(np.asarray(location, np.float32)).all()


@pytest.mark.parametrize("name", CASES)
def test_bad_data_is_never_hidden(name):
    """NaN and inf in x, and NaN in the raw output, leave no finite value behind."""
    case = CASES[name].likelihood
    raw, log_prob = np.full((1, case.n_heads), 0.5, np.float32), jax.jit(case.log_prob)
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert not np.isfinite(log_prob(jnp.full((1, 1), bad), jnp.asarray(raw))).any()
    for i in range(case.n_heads):
        broken = raw.copy()
        broken[0, i] = np.nan
        assert np.isnan(log_prob(jnp.ones((1, 1)), jnp.asarray(broken))).all()


def test_equal_options_are_one_object():
    """Two models built alike share one compiled program only if their likelihoods are equal."""
    assert likelihood.normal(limit=3.0) is likelihood.normal(limit=3.0)
    assert likelihood.normal(limit=3.0) is not likelihood.normal(limit=4.0)


def test_a_variance_must_be_positive():
    with pytest.raises(ValueError, match="variance: expected a positive number"):
        likelihood.normal_with_variance(0.0)


def test_bytes_and_booleans_are_data():
    """Integer and boolean x are widened, not refused."""
    raw = jnp.array([[0.7]])
    for dtype in (bool, jnp.uint8):
        x = jnp.ones((1, 1), dtype)
        log_p = BERNOULLI.likelihood.log_prob(x, raw)
        np.testing.assert_allclose(log_p, np.log(1 / (1 + np.exp(-0.7))), rtol=3e-7)
