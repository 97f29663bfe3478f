# SPDX-License-Identifier: Apache-2.0
"""Monte-Carlo averages carry their standard error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxml.probability import monte_carlo


def test_standard_error_is_scipys(x64):
    """Mean and standard error of the mean equal SciPy's along the first axis."""
    values = jax.random.normal(jax.random.key(0), (50, 3), dtype=float) * 4 + 1
    mean, error = monte_carlo.estimate(values)
    np.testing.assert_allclose(mean, np.mean(values, 0), rtol=1e-14)
    np.testing.assert_allclose(error, scipy.stats.sem(values, 0), rtol=1e-12)


def test_the_standard_error_covers():
    """The truth lies within 1.96 standard errors in 95 % of 2000 experiments."""
    values = jax.random.exponential(jax.random.key(1), (400, 2000))
    mean, error = monte_carlo.estimate(values)
    coverage = np.mean(np.abs(np.asarray(mean) - 1) < 1.96 * np.asarray(error))
    assert abs(coverage - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / 2000)


def test_one_value_has_no_standard_error():
    with pytest.raises(ValueError, match="values: a standard error needs at least 2"):
        monte_carlo.estimate(jax.numpy.ones(1))


def intercept(f, c, mean):
    """NumPy's least squares at c = mean."""
    return np.linalg.lstsq(np.column_stack([np.ones(len(f)), c - mean]), f, rcond=None)[0][0]


def test_controls_are_a_regression(x64):
    """The intercept at the known means; its jackknife, leaving out one draw after the other.

    Constant and dependent controls do no harm, nor do scales of 1e±4.
    """
    rng = np.random.default_rng(0)
    c = rng.normal(size=(60, 3)) * [1, 1e4, 1e-4] + [0, 2e4, 1]
    mean = np.array([0.3, 2.4e4, 1.0])
    f = rng.normal(size=(60, 2)) + c[:, :1] ** 2 + c[:, 1:2] / 1e4
    control = jax.jit(monte_carlo.with_control)
    found = control(jnp.asarray(f), jnp.asarray(c), jnp.asarray(mean))
    for i in range(2):
        value = intercept(f[:, i], c, mean)
        rest = [intercept(np.delete(f[:, i], j), np.delete(c, j, axis=0), mean) for j in range(60)]
        error = np.sqrt(np.sum(np.square(np.array(rest) - value)))
        np.testing.assert_allclose(found.mean[i], value, rtol=1e-9)
        np.testing.assert_allclose(found.standard_error[i], error, rtol=1e-9)
    one = control(jnp.asarray(f[:, 0]), jnp.asarray(c), jnp.asarray(mean))
    np.testing.assert_allclose(one.mean, found.mean[0], rtol=1e-12)
    idle = np.column_stack([c, c[:, 0], np.full(60, 7.0)])
    idle_mean = np.append(mean, [mean[0], 7.0])
    other = control(jnp.asarray(f), jnp.asarray(idle), jnp.asarray(idle_mean))
    np.testing.assert_allclose(other, found, rtol=1e-9)
    with pytest.raises(ValueError, match="values"):
        monte_carlo.with_control(jnp.ones(4), jnp.ones((4, 3)), jnp.ones(3))


def test_controls_remove_what_they_explain(x64):
    """E e^(x/2) of x ~ N(0, 1) from x and x²: the error falls tenfold, by 1/√(1 − R²), and covers.

    R² = (t² + t⁴/2)/(e^(t²) − 1) for e^(tx).
    """
    x = jax.random.normal(jax.random.key(0), (2000, 200), dtype=float)
    controls = jnp.stack([x, jnp.square(x)], axis=-1)
    means = jnp.array([0.0, 1.0])
    both = jax.jit(jax.vmap(lambda f, c: (monte_carlo.with_control(f, c, means),
                                          monte_carlo.estimate(f))))  # fmt: skip
    found, plain = both(jnp.exp(0.5 * x), controls)
    off = np.asarray(found.mean) - np.exp(0.125)
    expected = 1 / np.sqrt(1 - (0.25 + 0.0625 / 2) / np.expm1(0.25))
    assert abs(np.std(plain.mean) / np.std(off) / expected - 1) < 0.1
    coverage = np.mean(np.abs(off) < 1.96 * np.asarray(found.standard_error))
    assert abs(coverage - 0.95) < 0.03  # cubes of normal draws are not yet normal after 200 of them
    assert abs(off.mean()) < np.mean(found.standard_error) / 5
    linear = monte_carlo.with_control(3 + 2 * x[0], controls[0], means)
    np.testing.assert_allclose(linear.mean, 3, rtol=1e-14)
    assert linear.standard_error < 1e-15


def test_mirrored_pairs(x64):
    """Odd functions have no error left, even ones that of n draws; e^x loses by ρ = −1/e."""
    x = jax.random.normal(jax.random.key(1), (1000, 200), dtype=float)
    odd = monte_carlo.antithetic(1 + jnp.sin(x[0]), 1 + jnp.sin(-x[0]))
    assert abs(odd.mean - 1) + odd.standard_error < 1e-15
    even = monte_carlo.antithetic(jnp.square(x[0]), jnp.square(-x[0]))
    np.testing.assert_allclose(even, monte_carlo.estimate(jnp.square(x[0])), rtol=1e-14)
    found = jax.vmap(monte_carlo.antithetic)(jnp.exp(x), jnp.exp(-x))
    exact = np.sqrt(0.5 * (np.e**2 - np.e) * (1 - 1 / np.e) / 200)
    assert abs(np.mean(found.standard_error) / exact - 1) < 0.05
    off = np.abs(np.asarray(found.mean) - np.exp(0.5)) / np.asarray(found.standard_error)
    assert abs(np.mean(off < 1.96) - 0.95) < 0.03


def test_divergences_by_sampling(x64):
    """Without bias and covered, never negative with c = 1, and surer where q is near p.

    p = N(0, 1), q = N(m, 1): KL = m²/2; the variance of the plain term is m², that with the control
    e^{m²} − 1 − m², and smaller only below m = 1.12.
    """
    x = jax.random.normal(jax.random.key(2), (1500, 300), dtype=float)

    @jax.jit
    def errors(m):
        log_p, log_q = -0.5 * jnp.square(x), -0.5 * jnp.square(x - m)
        plain = jax.vmap(lambda p, q: monte_carlo.kl_by_sampling(p, q, control=0.0))(log_p, log_q)
        return plain, jax.vmap(monte_carlo.kl_by_sampling)(log_p, log_q)

    for m in (0.03, 0.3, 1.5):
        plain, sure = errors(jnp.asarray(m))
        ours = m**2, np.expm1(m**2) - m**2
        for found, variance in zip((plain, sure), ours, strict=True):
            mean = np.asarray(found.mean)
            assert abs(mean.mean() - m**2 / 2) < 4.5 * np.sqrt(variance / mean.size / 300)
            if m < 1:
                off = np.abs(mean - m**2 / 2) / np.asarray(found.standard_error)
                assert abs(np.mean(off < 1.96) - 0.95) < 0.03
                squares = 300 * np.mean(np.square(found.standard_error))
                np.testing.assert_allclose(squares, variance, rtol=0.05)
        assert (np.asarray(sure.mean) > 0).all()
    assert (np.asarray(errors(jnp.asarray(0.03))[0].mean) < 0).any()
    small = monte_carlo.kl_by_sampling(jnp.zeros(2), jnp.full(2, 1e-4))
    np.testing.assert_allclose(small.mean, 0.5e-8 + 1e-12 / 6 + 1e-16 / 24, rtol=1e-10)
    lost = monte_carlo.kl_by_sampling(jnp.zeros(3), jnp.array([0.0, -jnp.inf, 0.0]))
    assert lost.mean == jnp.inf


def test_slopes_of_sampled_divergences_are_those_of_q_alone(x64):
    """In q's log-variance b both have the exact slope on average; in p's, a, they have not.

    KL(p‖q) = ½(e^(a−b) − 1 − a + b + m² e^−b). The slopes in a are 0 and that of KL(q‖p).
    """
    x = jax.random.normal(jax.random.key(3), (40_000,), dtype=float)
    m, b = 0.5, -0.6

    def terms(a, b, control):
        log_p = -0.5 * (a + jnp.square(x) * jnp.exp(-a))
        log_q = -0.5 * (b + jnp.square(x - m) * jnp.exp(-b))
        return monte_carlo.kl_by_sampling(log_p, log_q, control=control).mean

    of_q = 0.5 * (1 - (1 + m**2) * np.exp(-b))
    of_p = 0.5 * np.expm1(-b)
    reversed_of_p = 0.5 * (1 - (np.exp(b) + m**2))
    for control, leaves in ((0.0, 0.0), (1.0, reversed_of_p)):
        by_p, by_q = jax.grad(terms, (0, 1))(jnp.float64(0), jnp.float64(b), control)
        assert abs(by_q - of_q) < 0.06  # 4.5 standard errors of slopes with a deviation below 2.6
        assert abs(by_p - leaves) < 0.03
        assert abs(by_p - of_p) > 0.2


def kolmogorov(cdf, below, z):
    """sup |F − Φ| of a distribution with steps, from both sides of each of them."""
    phi = scipy.stats.norm.cdf(z)
    return max(np.abs(cdf - phi).max(), np.abs(below - phi).max())


def test_means_tend_to_the_normal_law(x64):
    """sup |P(√n (x̄ − μ)/σ ≤ z) − Φ(z)| of Bernoulli and of exponential draws, and its bound.

    Sums of coins by repeated convolution, exactly; sums of exponential draws are gamma distributed.
    The distance falls like 1/√n, never exceeds the bound, and of the worst coin, p = (4 − √10)/2,
    reaches 0.4097/0.4748 of it.
    """
    worst = (4 - np.sqrt(10)) / 2
    for p in (0.5, worst, 0.1, 0.01):
        sigma = np.sqrt(p * (1 - p))
        third = (p * (1 - p) ** 3 + (1 - p) * p**3) / sigma**3
        law, shares, n = np.array([1 - p, p]), [], 1
        for _ in range(11):
            cdf = np.cumsum(law)
            z = (np.arange(n + 1) - n * p) / (np.sqrt(n) * sigma)
            distance = kolmogorov(cdf, cdf - law, z)
            bound = monte_carlo.normal_error_bound(third, n)
            shares.append(distance / bound)
            law, n = np.convolve(law, law), 2 * n
        assert max(shares) < 1
        assert abs(shares[-1] / shares[-2] - 1) < 0.02  # both fall like 1/√n
        skew = (1 - 2 * p) / sigma
        limit = (abs(skew) + 3 / sigma) / (6 * np.sqrt(2 * np.pi)) / third
        assert shares[-1] == pytest.approx(limit / 0.4748, rel=0.02)
        if p == worst:
            assert shares[-1] == pytest.approx(0.40973 / 0.4748, rel=1e-3)
    third = 12 / np.e - 2  # of exponential draws
    for n in (1, 2, 8, 64, 1000):
        z = np.linspace(-6, 8, 20_001)
        cdf = scipy.stats.gamma.cdf(n + z * np.sqrt(n), n)
        distance = kolmogorov(cdf, cdf, z)
        assert distance < monte_carlo.normal_error_bound(third, n)
    assert distance * np.sqrt(n) == pytest.approx(2 / (6 * np.sqrt(2 * np.pi)), rel=0.02)
