# SPDX-License-Identifier: Apache-2.0
"""The diagonal normal against SciPy, quadrature and 60-digit arithmetic."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from mpmath import mp

from jaxml.probability import normal

TOLERANCE = [("f4", 1e-6, 1e-5), ("f8", 1e-14, 1e-12)]  # of values and of gradients
RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=400) * np.geomspace(1e-3, 30, 400)
LOG_VARIANCE = RNG.permutation(
    np.concatenate([-np.geomspace(1e-6, 20, 200), np.geomspace(1e-6, 20, 200)])
)


def relative_error(value, reference):
    reference = np.array([float(r) for r in reference])
    return np.max(np.abs(np.asarray(value, np.float64) - reference) / (1 + np.abs(reference)))


def test_log_prob_and_entropy_match_scipy(x64):
    """log N(x; μ, e^ℓ) and its entropy equal SciPy's with scale e^(ℓ/2)."""
    x = RNG.normal(size=400) * 3
    scale = np.exp(LOG_VARIANCE / 2)
    expected = scipy.stats.norm.logpdf(x, MEAN, scale)
    value = normal.log_prob(jnp.asarray(x), jnp.asarray(MEAN), jnp.asarray(LOG_VARIANCE))
    assert relative_error(value, expected) < 1e-13
    entropy = normal.entropy(jnp.asarray(LOG_VARIANCE))
    assert relative_error(entropy, scipy.stats.norm.entropy(0, scale)) < 1e-13


def test_kl_divergence_equals_the_quadrature_of_its_definition(x64):
    """KL = ∫ q log(q/p), and it is not symmetric."""
    for mean, lv, other, other_lv in [(0.3, -1.0, -0.5, 0.7), (2.0, 0.4, 0.0, 0.0), (0, 0, 0, 0)]:
        q = scipy.stats.norm(mean, np.exp(lv / 2))
        p = scipy.stats.norm(other, np.exp(other_lv / 2))
        expected, _ = scipy.integrate.quad(
            lambda x, q=q, p=p: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)),
            mean - 12 * q.std(),
            mean + 12 * q.std(),
            epsabs=1e-14,
            epsrel=1e-13,
        )
        args = [jnp.float64(v) for v in (mean, lv, other, other_lv)]
        np.testing.assert_allclose(normal.kl_divergence(*args), expected, atol=1e-12)
        if other == other_lv == 0:
            np.testing.assert_allclose(normal.kl_to_standard(*args[:2]), expected, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tol", "tol_gradient"), TOLERANCE)
def test_kl_matches_60_digits(dtype, tol, tol_gradient, x64):
    """½(e^ℓ − 1 − ℓ + μ²) and its gradient (μ, ½(e^ℓ − 1)), and the KL between two normals."""
    rng = np.random.default_rng(1)
    mean, lv = MEAN.astype(dtype), LOG_VARIANCE.astype(dtype)
    other, other_lv = (rng.normal(size=400) * 3).astype(dtype), rng.permutation(lv) / 2
    with mp.workdps(60):
        exact = [[mp.mpf(float(v)) for v in a] for a in (mean, lv, other, other_lv)]
        to_standard = [(mpmath.expm1(b) - b + a * a) / 2 for a, b in zip(*exact[:2], strict=True)]
        between = [
            (mpmath.expm1(b - d) - (b - d) + (a - c) ** 2 * mp.exp(-d)) / 2
            for a, b, c, d in zip(*exact, strict=True)
        ]
        slope = [mpmath.expm1(b) / 2 for b in exact[1]]
    args = [jnp.asarray(a) for a in (mean, lv, other, other_lv)]
    assert relative_error(normal.kl_to_standard(*args[:2]), to_standard) <= tol
    assert relative_error(normal.kl_divergence(*args), between) <= tol
    gradient = jax.grad(lambda m, v: jnp.sum(normal.kl_to_standard(m, v)), argnums=(0, 1))
    d_mean, d_lv = gradient(*args[:2])
    assert relative_error(d_mean, exact[0]) <= tol_gradient
    assert relative_error(d_lv, slope) <= tol_gradient


def test_expm1_keeps_the_digits_of_a_small_divergence():
    """At ℓ = 1e-3 float32 keeps four digits of ℓ²/4 with expm1 and none with e^ℓ − 1 − ℓ."""
    lv = jnp.float32(1e-3)
    ours = normal.kl_to_standard(jnp.float32(0), lv)
    plain = 0.5 * (jnp.exp(lv) - 1 - lv)
    with mp.workdps(60):
        exact = float((mpmath.expm1(mp.mpf(float(lv))) - mp.mpf(float(lv))) / 2)
    assert abs(float(ours) / exact - 1) < 1e-3
    assert not abs(float(plain) / exact - 1) < 1e-3


def test_the_printed_divergence_without_its_signs_is_no_divergence():
    """½(σ² + μ² 1 log σ²) with lost minus signs is not 0 at the prior; the right form is."""
    mean, lv = jnp.float32(0), jnp.float32(0)
    assert normal.kl_to_standard(mean, lv) == 0
    printed = 0.5 * (jnp.exp(lv) + jnp.square(mean) + 1 + lv)
    assert printed != 0


def test_the_derivative_of_a_sample_depends_on_its_noise():
    """∂z/∂σ = ε, ∂z/∂μ = 1: the printed claim that the derivative is independent of ε fails."""

    def draw(mean, scale, eps):
        return normal.reparameterize(mean, 2 * jnp.log(scale), eps)

    eps = jnp.array([-1.5, 0.25, 2.0])
    by_mean, by_scale = jax.vmap(jax.grad(draw, argnums=(0, 1)), (None, None, 0))(0.3, 0.7, eps)
    np.testing.assert_allclose(by_mean, 1.0)
    np.testing.assert_allclose(by_scale, eps, rtol=1e-6)
    assert not np.ptp(by_scale) < 1  # "independent of ε"


def test_reparameterized_gradient_is_unbiased():
    """∂E[z²]/∂(μ, ℓ) = (2μ, e^ℓ), within 4.5 standard errors."""
    mean, lv = jnp.float32(0.8), jnp.float32(-0.6)
    eps = jax.random.normal(jax.random.key(0), (40_000,))

    def square(mean, lv, eps):
        return jnp.square(normal.reparameterize(mean, lv, eps))

    gradients = jax.vmap(jax.grad(square, argnums=(0, 1)), (None, None, 0))(mean, lv, eps)
    for g, exact in zip(gradients, (2 * mean, jnp.exp(lv)), strict=True):
        error = np.std(np.asarray(g, np.float64)) / 200
        assert abs(np.mean(np.asarray(g, np.float64)) - float(exact)) < 4.5 * error
