# SPDX-License-Identifier: Apache-2.0
"""What divergences do to each other, to mixtures and to noise, and their digits near equality."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
from mpmath import mp

from jaxml.probability import divergence
from jaxml.probability.renyi import renyi_divergence

RNG = np.random.default_rng(1)
P, Q = RNG.dirichlet(np.full(5, 0.7), size=(2, 80))
P[:20, :2] = 0  # classes that p does not contain
P[:20] /= P[:20].sum(-1, keepdims=True)

ALL = {
    "kl": divergence.kl_divergence,
    "jensen_shannon": divergence.jensen_shannon,
    "total_variation": divergence.total_variation,
    "hellinger": divergence.hellinger,
    "chi_squared": divergence.chi_squared,
}
ORDERS = (0.0, 0.3, 1.0, 3.0, np.inf)


@jax.jit
def every(p, q):
    renyi = jax.vmap(renyi_divergence, (None, None, 0))(p, q, jnp.asarray(ORDERS, p.dtype))
    found = {f"renyi_{a}": value for a, value in zip(ORDERS, renyi, strict=True)}
    return found | {name: f(p, q) for name, f in ALL.items()}


def test_values_are_the_definitions(x64):
    """Jensen-Shannon as SciPy's and as the mixture's entropy less the mean entropy; the others."""
    found = every(jnp.asarray(P), jnp.asarray(Q))
    shared = scipy.spatial.distance.jensenshannon(P, Q, axis=-1) ** 2
    np.testing.assert_allclose(found["jensen_shannon"], shared, rtol=1e-12)
    m, entropy = 0.5 * (P + Q), lambda p: -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
    mixed = entropy(m) - 0.5 * entropy(P) - 0.5 * entropy(Q)
    np.testing.assert_allclose(found["jensen_shannon"], mixed, rtol=1e-12)
    np.testing.assert_allclose(found["hellinger"] ** 2, 1 - np.sqrt(P * Q).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(found["chi_squared"], (P**2 / Q).sum(-1) - 1, rtol=1e-12)
    np.testing.assert_allclose(found["total_variation"], 0.5 * np.abs(P - Q).sum(-1), rtol=1e-14)


def test_total_variation_is_the_greatest_difference_over_all_events(x64):
    """max |P(A) − Q(A)| over all 2^5 sets A of classes."""
    events = np.array(list(itertools.product((0.0, 1.0), repeat=5)))
    greatest = np.abs(events @ (P - Q).T).max(0)
    found = divergence.total_variation(jnp.asarray(P), jnp.asarray(Q))
    np.testing.assert_allclose(found, greatest, rtol=1e-13)


def test_bounds_of_each_other(x64):
    """Pinsker's inequality and its kin, on pairs near and far."""
    for share in (1.0, 0.3, 1e-3):
        q = (1 - share) * P + share * Q
        d = {name: np.asarray(v) for name, v in every(jnp.asarray(P), jnp.asarray(q)).items()}
        tv, h, tiny = d["total_variation"], d["hellinger"], 1 + 1e-9
        assert (2 * tv**2 <= d["kl"] * tiny).all()  # Pinsker
        assert (d["kl"] <= np.log1p(d["chi_squared"]) * tiny).all()
        assert (h**2 <= tv * tiny).all()
        assert (tv <= h * np.sqrt(2 - h**2) * tiny).all()
        assert (d["jensen_shannon"] <= np.log(2) * tv * tiny).all()
        assert (0.5 * tv**2 <= d["jensen_shannon"] * tiny).all()
        assert (-2 * np.log1p(-(h**2)) <= d["kl"] * tiny).all()


def test_equal_and_disjoint(x64):
    """0 for equal distributions and only for them; the greatest value for disjoint ones."""
    p = jnp.asarray(P)
    for name, value in every(p, p).items():
        np.testing.assert_allclose(value, 0, atol=1e-15, err_msg=name)
    assert (divergence.jensen_shannon(p, p) == 0).all()
    close = np.where(np.arange(5) % 2, 1, -1) * 1e-9 * P[20:].min(-1, keepdims=True)
    close[:, 4] -= close.sum(-1)
    found = every(jnp.asarray(P[20:] + close), p[20:])
    assert (found["jensen_shannon"] > 0).all()
    assert (found["total_variation"] > 0).all()
    assert (found["hellinger"] > 0).all()
    apart = every(jnp.asarray([[0.3, 0.7, 0, 0]]), jnp.asarray([[0, 0, 0.1, 0.9]]))
    least = {"jensen_shannon": np.log(2), "total_variation": 1, "hellinger": 1}
    for name, value in apart.items():
        np.testing.assert_allclose(value, least.get(name, np.inf), rtol=1e-15, err_msg=name)


def test_roots_and_differences_are_distances(x64):
    """√JS, total variation and Hellinger: symmetric, with the triangle inequality; KL is not."""
    a, b, c = (jnp.asarray(v) for v in RNG.dirichlet(np.full(4, 0.5), size=(3, 300)))
    ab, bc, ac, ba = every(a, b), every(b, c), every(a, c), every(b, a)
    for name in ("jensen_shannon", "total_variation", "hellinger", "kl"):
        root = np.sqrt if name in ("jensen_shannon", "kl") else np.asarray
        triangle = root(ab[name]) + root(bc[name]) >= root(ac[name]) - 1e-14
        same = np.isclose(ab[name], ba[name], rtol=1e-12)
        assert triangle.all() == same.all() == (name != "kl"), name


def test_no_kernel_creates_a_difference(x64):
    """D(pK‖qK) ≤ D(p‖q) for Markov kernels K; equal where K only renames classes."""
    kernels = RNG.dirichlet(np.full(4, 0.3), size=(80, 5))
    before = every(jnp.asarray(P), jnp.asarray(Q))
    after = every(*(jnp.asarray(np.einsum("ni,nij->nj", v, kernels)) for v in (P, Q)))
    renamed = every(*(jnp.asarray(v[:, ::-1].copy()) for v in (P, Q)))
    for name, value in before.items():
        assert (np.asarray(after[name]) <= np.asarray(value) + 1e-14).all(), name
        less = np.mean(np.asarray(after[name]) < 0.9 * np.asarray(value) - 1e-14)
        assert less == 0.25 if name == "renyi_0.0" else less > 0.5  # 20 of 80 lack a class
        np.testing.assert_allclose(renamed[name], value, rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_jensen_shannon_keeps_its_digits(dtype, tol, x64):
    """Relative to 60 digits, down to 1e-24 of the largest; Hellinger and χ² likewise."""
    p = RNG.dirichlet(np.ones(4), size=120).astype(dtype)
    scale = np.geomspace(1e-12 if dtype == "f8" else 1e-5, 0.9, 120)[:, None]
    q = (p * (1 + scale * RNG.uniform(-1, 1, size=p.shape))).astype(dtype)
    with mp.workdps(60):
        rows = [[[mp.mpf(float(v)) for v in row] for row in m] for m in (p, q)]
        pairs = [list(zip(r, s, strict=True)) for r, s in zip(*rows, strict=True)]
        half = [mp.fsum(a * mp.log(2 * a / (a + b)) + b * mp.log(2 * b / (a + b)) for a, b in r)
                for r in pairs]  # fmt: skip
        exact = {
            "jensen_shannon": [float(v / 2) for v in half],
            "hellinger": [
                float(mp.sqrt(mp.fsum((mp.sqrt(a) - mp.sqrt(b)) ** 2 for a, b in r) / 2))
                for r in pairs
            ],
            "chi_squared": [float(mp.fsum((a - b) ** 2 / b for a, b in r)) for r in pairs],
        }
    found = every(jnp.asarray(p), jnp.asarray(q))
    for name, value in exact.items():
        error = np.abs(np.asarray(found[name], np.float64) / np.array(value) - 1)
        assert found[name].dtype == dtype
        assert error.max() <= tol, name


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_jensen_shannon_from_logits_to_60_digits(dtype, tol, x64):
    """For logits up to ±1e4, apart and close."""
    a, b = (RNG.normal(size=(2, 80, 4)) * np.geomspace(0.1, 1e4, 80)[:, None]).astype(dtype)
    b[::2] = a[::2] + 1e-2 * b[::2] / np.geomspace(0.1, 1e4, 80)[::2, None].astype(dtype)

    def softmax(row):
        row = [mp.exp(mp.mpf(float(v))) for v in row]
        return [v / mp.fsum(row) for v in row]

    with mp.workdps(60):
        pairs = [zip(softmax(r), softmax(s), strict=True) for r, s in zip(a, b, strict=True)]
        exact = [mp.fsum(p * mp.log(2 * p / (p + q)) + q * mp.log(2 * q / (p + q)) for p, q in r)
                 for r in pairs]  # fmt: skip
    exact = np.array([float(v / 2) for v in exact])
    value = jax.jit(divergence.jensen_shannon_from_logits)(jnp.asarray(a), jnp.asarray(b))
    assert value.dtype == dtype
    assert np.abs(np.asarray(value, np.float64) - exact).max() <= tol


def test_slopes(x64):
    """Jensen-Shannon: ½ log p/m, and at p = q the curvature 1/(4p); total variation ±½; χ², H."""
    p, q = jnp.asarray(P[20:]), jnp.asarray(Q[20:])
    m = 0.5 * (p + q)
    a, b = jnp.log(p[:5]), jnp.log(q[:5])
    b = b.at[0].set(a[0] + 1e-5)  # shifted: equal as distributions

    @jax.jit
    def slopes(p, q, a, b):
        by = {name: jax.grad(lambda p, q, f=f: f(p, q).sum(), (0, 1))(p, q)
              for name, f in ALL.items() if name != "kl"}  # fmt: skip
        curve = jax.jacfwd(jax.grad(lambda p: divergence.jensen_shannon(p, q[0])))(q[0])
        logits = jax.grad(lambda b: divergence.jensen_shannon_from_logits(a, b).sum())(b)
        return by, curve, logits

    by, curve, logits = slopes(p, q, a, b)
    one, other = by["jensen_shannon"]
    np.testing.assert_allclose(one, 0.5 * np.log(p / m), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(other, 0.5 * np.log(q / m), rtol=1e-12, atol=1e-14)
    one, other = by["chi_squared"]
    np.testing.assert_allclose(one, 2 * (p - q) / q, rtol=1e-12)
    np.testing.assert_allclose(other, 1 - (p / q) ** 2, rtol=1e-12, atol=1e-13)
    h = divergence.hellinger(p, q)[:, None]
    expected = (1 - np.sqrt(q / p)) / (4 * h)
    np.testing.assert_allclose(by["hellinger"][0], expected, rtol=1e-10, atol=1e-13)
    one, other = by["total_variation"]
    np.testing.assert_array_equal(one, 0.5 * np.sign(p - q))
    np.testing.assert_array_equal(other, -one)
    np.testing.assert_allclose(curve, np.diag(0.25 / np.asarray(q[0])), rtol=1e-12, atol=1e-14)
    each = 0.5 * np.log(q / m)[1:5]
    expected = q[1:5] * (each - (q[1:5] * each).sum(-1, keepdims=True))
    np.testing.assert_allclose(logits[1:], expected, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(logits[0], 0, atol=1e-15)


def test_edges_have_finite_slopes():
    """Zeros in one, in the other and in both; equal distributions; infinite logits. NaN shows."""
    p = jnp.array([[0.25, 0.75, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    q = jnp.array([[0.5, 0.25, 0.25, 0.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    slopes = jax.jit(jax.grad(lambda p, q: sum(jax.tree.leaves(every(p, q))), (0, 1)))
    for pair in zip(p[:2], q[:2], strict=True):  # disjoint ones are infinitely far
        for slope in slopes(*pair):
            assert np.isfinite(slope).all()
    logits = jnp.log(p), jnp.log(q)
    value, vjp = jax.vjp(divergence.jensen_shannon_from_logits, *logits)
    np.testing.assert_allclose(value, divergence.jensen_shannon(p, q), rtol=1e-6)
    assert value[2] == pytest.approx(np.log(2))
    for slope in vjp(jnp.ones_like(value)):
        assert np.isfinite(slope).all()
    for place, index in ((0, 0), (1, 0), (0, 3)):  # the last where the other is 0
        pair = [p[0], q[0]]
        pair[place] = pair[place].at[index].set(jnp.nan)
        for name, value in every(*pair).items():
            assert np.isnan(value), name
