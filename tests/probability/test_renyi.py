# SPDX-License-Identifier: Apache-2.0
"""Rényi's divergences against 60 digits, their limits, their order, and slopes in α."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from mpmath import mp

from jaxml.probability import divergence
from jaxml.probability.renyi import renyi_divergence, renyi_divergence_from_logits

RNG = np.random.default_rng(2)
NEAR = [1 + s * 10.0**-k for k in (1, 3, 5, 7, 9, 12, 15) for s in (-1, 1)]
ORDERS = [0.0, 1e-6, 0.1, 0.5, *NEAR, 1.0, 2.0, 5.0, 40.0, 1e4, np.inf]

both = jax.jit(jax.vmap(renyi_divergence_from_logits, (None, None, 0)))
of_probabilities = jax.jit(jax.vmap(renyi_divergence, (None, None, 0)))


def exact(log_p, log_q, alpha):
    """The definition, from logarithms in mpmath."""
    pairs = list(zip(log_p, log_q, strict=True))
    if alpha == np.inf:
        return max(a - b for a, b in pairs)
    alpha = mp.mpf(float(alpha))
    if alpha == 1:
        return mp.fsum(mp.exp(a) * (a - b) for a, b in pairs)
    return mp.log(mp.fsum(mp.exp(alpha * a + (1 - alpha) * b) for a, b in pairs)) / (alpha - 1)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 2e-6), ("f8", 4e-15)])
def test_orders_from_0_to_infinity_match_60_digits(dtype, tol, x64):
    """Logits up to ±1e3, and α as near to 1 as the type can tell; to 1 + |·| of the logits."""
    size = np.geomspace(0.1, 1e3, 24)[:, None]
    a, b = (RNG.normal(size=(2, 24, 4)) * size).astype(dtype)
    orders = np.unique(np.array(ORDERS, dtype))
    found = both(jnp.asarray(a), jnp.asarray(b), jnp.asarray(orders))
    assert found.dtype == dtype

    def log_softmax(row):
        row = [mp.mpf(float(v)) for v in row]
        total = mp.log(mp.fsum(mp.exp(v) for v in row))
        return [v - total for v in row]

    with mp.workdps(60):
        pairs = [(log_softmax(r), log_softmax(s)) for r, s in zip(a, b, strict=True)]
        value = np.array([[float(exact(*pair, alpha)) for pair in pairs] for alpha in orders])
    error = np.abs(np.asarray(found, np.float64) - value) / (1 + size[:, 0])
    assert error.max() <= tol


def test_named_members(x64):
    """½: Hellinger; 1: Kullback-Leibler; 2: χ²; the ends: −log q(p > 0) and log max p/q."""
    p, q = RNG.dirichlet(np.ones(5), size=(2, 40))
    p[:20, 0] = 0
    p[:20] /= p[:20].sum(-1, keepdims=True)
    known = {
        0.0: -np.log(np.where(p > 0, q, 0).sum(-1)),
        0.5: -2 * np.log1p(-np.square(divergence.hellinger(jnp.asarray(p), jnp.asarray(q)))),
        1.0: np.asarray(divergence.kl_divergence(jnp.asarray(p), jnp.asarray(q))),
        2.0: np.log1p(divergence.chi_squared(jnp.asarray(p), jnp.asarray(q))),
        np.inf: np.log((p / q).max(-1)),
    }
    found = of_probabilities(jnp.asarray(p), jnp.asarray(q), jnp.asarray(list(known)))
    np.testing.assert_allclose(found, list(known.values()), rtol=1e-12, atol=1e-15)
    scaled = of_probabilities(jnp.asarray(3 * p), jnp.asarray(0.2 * q), jnp.asarray(list(known)))
    np.testing.assert_allclose(scaled, found, rtol=1e-12, atol=1e-15)


def test_it_rises_with_alpha(x64):
    """Over a grid of α that is dense around 1; constant only if p/q is where p is."""
    a, b = RNG.normal(size=(2, 50, 4)) * 2
    orders = jnp.sort(jnp.concatenate([jnp.geomspace(1e-3, 1e3, 60), 1 + jnp.linspace(-0.1, 0.1)]))
    value = np.asarray(both(jnp.asarray(a), jnp.asarray(b), orders))
    assert (np.diff(value, axis=0) > -1e-14).all()
    assert (value[-1] > value[0] + 1e-3).all()
    flat = np.array([[0.25, 0.75, 0.0, 0.0]])
    value = of_probabilities(jnp.asarray(flat), jnp.asarray([[0.1, 0.3, 0.4, 0.2]]), orders)
    np.testing.assert_allclose(value, np.log(2.5), rtol=1e-12)


def test_skew_symmetry(x64):
    """(1 − α) D_α(p‖q) = α D_(1−α)(q‖p) for 0 < α < 1, for classes that one side lacks too."""
    p, q = RNG.dirichlet(np.ones(4), size=(2, 30))
    p[:10, 0], q[5:15, 1] = 0, 0
    p, q = (v / v.sum(-1, keepdims=True) for v in (p, q))
    orders = np.linspace(0.05, 0.95, 19)
    one = of_probabilities(jnp.asarray(p), jnp.asarray(q), jnp.asarray(orders))
    other = of_probabilities(jnp.asarray(q), jnp.asarray(p), jnp.asarray(1 - orders))
    np.testing.assert_allclose((1 - orders)[:, None] * one, orders[:, None] * other, rtol=1e-11)


def test_slopes_in_logits_and_in_alpha(x64):
    """Central differences away from 1; at 1, ½ Var_p(log p/q) in α and KL's in logits."""
    a, b = jnp.asarray(RNG.normal(size=(2, 6, 4)) * 1.5)
    orders = jnp.asarray([0.2, 0.9, 1 - 1e-8, 1.0, 1 + 1e-8, 1.3, 6.0])

    def total(a, b, alpha):
        return renyi_divergence_from_logits(a, b, alpha)

    def central(f, x, h=1e-5):
        return (f(x + h) - f(x - h)) / (2 * h)

    value_and_slopes = jax.jit(
        jax.vmap(jax.vmap(jax.grad(total, (0, 1, 2)), (0, 0, None)), (None, None, 0))
    )
    by_a, by_b, by_alpha = value_and_slopes(a, b, orders)
    direction = jnp.asarray(RNG.normal(size=a.shape))
    for slope, moved in (
        (by_a, lambda t: both(a + t * direction, b, orders)),
        (by_b, lambda t: both(a, b + t * direction, orders)),
    ):
        along = np.asarray((slope * direction[None]).sum(-1))
        np.testing.assert_allclose(along, central(moved, 0.0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(by_alpha, central(lambda t: both(a, b, orders + t), 0.0), rtol=2e-6)
    p = scipy.special.softmax(a, -1)
    ratio = scipy.special.log_softmax(a, -1) - scipy.special.log_softmax(b, -1)
    kl = (p * ratio).sum(-1, keepdims=True)
    half = 0.5 * (p * (ratio - kl) ** 2).sum(-1)
    np.testing.assert_allclose(by_alpha[3], half, rtol=1e-12)
    np.testing.assert_allclose(by_a[3], p * (ratio - kl), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(by_b[3], scipy.special.softmax(b, -1) - p, rtol=1e-11, atol=1e-14)


def test_slopes_of_probabilities_point_along_the_simplex(x64):
    """Σ p ∂D/∂p = 0 = Σ q ∂D/∂q, and along the simplex they are those of the definition."""
    p, q = RNG.dirichlet(np.ones(4), size=2)
    direction = np.array([0.1, -0.3, 0.25, -0.05])
    for alpha in (0.4, 1.0, 3.0):
        slopes = jax.grad(renyi_divergence, (0, 1))(jnp.asarray(p), jnp.asarray(q), alpha)
        for v, slope in zip((p, q), slopes, strict=True):
            assert abs(slope @ v) < 1e-13
        if alpha == 1:
            along = direction @ np.log(p / q), -direction @ (p / q)
        else:
            total = (p**alpha * q ** (1 - alpha)).sum() * (alpha - 1)
            along = (
                direction @ (alpha * (p / q) ** (alpha - 1)) / total,
                direction @ ((1 - alpha) * (p / q) ** alpha) / total,
            )
        np.testing.assert_allclose([direction @ s for s in slopes], along, rtol=1e-11)


def test_edges():
    """What q excludes costs infinity from α = 1 on and a finite amount below; slopes are finite."""
    p, q = jnp.array([0.25, 0.75, 0.0, 0.0]), jnp.array([0.5, 0.0, 0.5, 0.0])
    orders = jnp.array([0.0, 0.5, 0.999, 1.0, 2.0, jnp.inf])
    value = np.asarray(of_probabilities(p, q, orders))
    np.testing.assert_allclose(value[:2], [np.log(2), -2 * np.log(np.sqrt(0.125))], rtol=1e-6)
    np.testing.assert_allclose(value[2], -1000 * np.log(0.25**0.999 * 0.5**0.001), rtol=1e-4)
    assert (value[3:] == np.inf).all()
    logits = both(jnp.log(p), jnp.log(q), orders)
    np.testing.assert_allclose(logits, value, rtol=1e-4)
    inside = jnp.array([0.5, 0.25, 0.25, 0.0])
    slopes = jax.jit(jax.vmap(jax.grad(renyi_divergence, (0, 1, 2)), (None, None, 0)))
    for slope in (*slopes(p, inside, orders), *(s[:3] for s in slopes(p, q, orders))):
        assert np.isfinite(slope).all()
    apart = of_probabilities(p, p[::-1], orders)
    assert (np.asarray(apart) == np.inf).all()
    assert np.isnan(of_probabilities(p, q.at[1].set(jnp.nan), orders)).all()
    assert np.isnan(of_probabilities(p, q, jnp.array([-0.5]))).all()
    for f in (renyi_divergence, renyi_divergence_from_logits):
        with pytest.raises(ValueError, match="alpha"):
            f(p, q, -0.5)
