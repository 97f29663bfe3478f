# SPDX-License-Identifier: Apache-2.0
"""Discretized laws: normalized, accurate at every scale, and sampled from their own law."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats
from mpmath import mp

from jaxml.probability import discretized_logistic, discretized_normal

TOLERANCE = [("f4", 1e-6, 1e-5), ("f8", 1e-14, 1e-12)]  # of values and of gradients


class Law(NamedTuple):
    """A module, its law in exact arithmetic, and what its last parameter is the logarithm of."""

    log_prob: object
    sample: object
    exact_upper_tail: object  # P(z > a) at unit scale
    plain_cdf: object
    power: int  # the scale to this power


LAWS = {
    "logistic": Law(
        discretized_logistic.log_prob,
        discretized_logistic.sample,
        lambda a: 1 / (1 + mp.exp(a)),
        jax.nn.sigmoid,
        1,
    ),
    "normal": Law(
        discretized_normal.log_prob,
        discretized_normal.sample,
        lambda a: mpmath.erfc(a / mp.sqrt(2)) / 2,
        jax.scipy.stats.norm.cdf,
        2,
    ),
}


@pytest.fixture(params=LAWS)
def law(request):
    return LAWS[request.param]


def compiled(law):
    return jax.jit(law.log_prob, static_argnames="n_levels")


def relative_error(value, reference):
    reference = np.array([float(r) for r in reference])
    return np.max(np.abs(np.asarray(value, np.float64) - reference) / (1 + np.abs(reference)))


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-5), ("f8", 1e-9)])
@pytest.mark.parametrize("n_levels", [2, 8, 256])
def test_probabilities_sum_to_one(law, n_levels, dtype, tol, x64):
    """Σ P over the levels = 1 for locations inside and outside [−1, 1] and log-scales −7 ... 7."""
    levels = jnp.asarray(np.linspace(-1, 1, n_levels)[:, None, None], dtype)
    mean = jnp.asarray(np.array([-3.0, -1.0, -0.2, 0.37, 1.0, 2.0])[None, :, None], dtype)
    log_scale = jnp.asarray(law.power * np.linspace(-7, 7, 15)[None, None], dtype)
    log_p = compiled(law)(levels, mean, log_scale, n_levels=n_levels)
    assert np.max(np.abs(np.exp(np.asarray(log_p)).sum(0) - 1)) < tol


def exact_log_prob(law, x, mean, log_scale):
    """The definition, in the tail where a difference of 60 digits keeps some of them."""
    h, s = mp.mpf(1) / 255, mp.exp(log_scale / law.power)
    lower, upper = (x - mean - h) / s, (x - mean + h) / s
    if x < -1 + h:
        return mp.log(law.exact_upper_tail(-upper))
    if x > 1 - h:
        return mp.log(law.exact_upper_tail(lower))
    if lower + upper < 0:
        lower, upper = -upper, -lower
    return mp.log(law.exact_upper_tail(lower) - law.exact_upper_tail(upper))


@pytest.mark.parametrize(("dtype", "tol", "tol_gradient"), TOLERANCE)
def test_log_prob_matches_60_digits(law, dtype, tol, tol_gradient, x64):
    """400 random levels, locations and log-scales: value and gradient in location and log-scale."""
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 256, 400) * 2 / 255 - 1).astype(dtype)
    x[:20], x[20:40] = -1, 1
    mean = rng.uniform(-1.2, 1.2, 400).astype(dtype)
    mean[::2] = (x + rng.normal(size=400) * 0.01)[::2].astype(dtype)
    log_scale = (law.power * rng.uniform(-7, 7, 400)).astype(dtype)
    with mp.workdps(60):

        def exact(*args):
            return exact_log_prob(law, *args)

        rows = [tuple(mp.mpf(float(v)) for v in r) for r in zip(x, mean, log_scale, strict=True)]
        reference = [exact(*r) for r in rows]
        by_mean = [mpmath.diff(lambda t, r=r: exact(r[0], t, r[2]), r[1]) for r in rows]
        by_scale = [mpmath.diff(lambda t, r=r: exact(r[0], r[1], t), r[2]) for r in rows]
    args = [jnp.asarray(a) for a in (x, mean, log_scale)]
    assert relative_error(compiled(law)(*args), reference) <= tol
    gradient = jax.grad(lambda *a: jnp.sum(law.log_prob(*a)), argnums=(1, 2))
    for g, expected in zip(jax.jit(gradient)(*args), (by_mean, by_scale), strict=True):
        assert relative_error(g, expected) <= tol_gradient


def test_the_plain_difference_is_lost(law):
    """Far in the tail F(a) − F(b) underflows to log 0 in float32; the stable form does not."""
    x, mean, log_scale = jnp.float32(-0.5), jnp.float32(0.9), jnp.float32(-5 * law.power)
    s, h = jnp.exp(log_scale / law.power), 1 / 255
    plain = jnp.log(law.plain_cdf((x - mean + h) / s) - law.plain_cdf((x - mean - h) / s))
    with mp.workdps(60):
        exact = float(exact_log_prob(law, *(mp.mpf(float(v)) for v in (x, mean, log_scale))))
    ours = law.log_prob(x, mean, log_scale)
    assert abs(float(ours) - exact) < 1e-6 * abs(exact)
    assert not np.isfinite(plain)


def test_sample_has_the_law_of_log_prob(law):
    """χ² over 8 levels, p > 1e-4, with visible mass in both outer bins."""
    n = 40_000
    mean, log_scale = jnp.full(n, 0.3), jnp.full(n, -0.7)
    sample = jax.jit(law.sample, static_argnames="n_levels")
    draws = sample(mean, log_scale, jax.random.key(0), n_levels=8)
    levels = np.linspace(-1, 1, 8)
    index = np.rint((np.asarray(draws) + 1) * 3.5).astype(int)
    np.testing.assert_allclose(draws, levels[index], atol=1e-6)
    x = jnp.asarray(levels, jnp.float32)
    p = np.exp(np.asarray(compiled(law)(x, mean[:8], log_scale[:8], n_levels=8), np.float64))
    counts = np.bincount(index, minlength=8)
    assert scipy.stats.chisquare(counts, n * p / p.sum()).pvalue > 1e-4


def test_nan_stays_nan(law):
    for i in range(3):
        args = [jnp.float32(0.2)] * 3
        args[i] = jnp.float32(jnp.nan)
        assert np.isnan(law.log_prob(*args))
