# SPDX-License-Identifier: Apache-2.0
"""Elementary functions against 60-digit arithmetic, and their behaviour at the edges."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp

from jaxml import numerics

VALUE_TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}
GRADIENT_TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


class Case(NamedTuple):
    """A function of elementwise arguments, the same in mpmath, and its declared domain."""

    ours: object
    reference: object
    domain: tuple  # one array of 400 points per argument


def signed(low, high):
    """400 points: both signs, log-spaced magnitudes."""
    half = np.geomspace(low, high, 200)
    return np.concatenate([-half[::-1], half])


def mp_sigmoid(x):
    return 1 / (1 + mp.exp(-x))


CASES = {
    "log1mexp": Case(
        numerics.log1mexp, lambda x: mp.log(-mpmath.expm1(-x)), (np.geomspace(1e-8, 80, 400),)
    ),
    "softplus_inverse": Case(
        numerics.softplus_inverse,
        lambda y: mp.log(mpmath.expm1(y)),
        (np.geomspace(1e-8, 1e3, 400),),
    ),
    "log_sigmoid_difference": Case(
        numerics.log_sigmoid_difference,
        lambda a, w: mp.log(mp_sigmoid(a + w) - mp_sigmoid(a)),
        (
            np.random.default_rng(0).permutation(signed(1e-3, 80)),
            np.geomspace(1e-6, 20, 400),
        ),
    ),
    "soft_clip": Case(
        lambda x: numerics.soft_clip(x, 5.0), lambda x: 5 * mp.tanh(x / 5), (signed(1e-6, 1e4),)
    ),
    "log1p_exp_neg": Case(
        numerics.log1p_exp_neg, lambda a: mpmath.log1p(mp.exp(-a)), (np.geomspace(1e-8, 80, 400),)
    ),
    "softplus": Case(numerics.softplus, lambda x: mpmath.log1p(mp.exp(x)), (signed(1e-6, 1e3),)),
    "log_ndtr": Case(
        numerics.log_ndtr,
        lambda x: mp.log(mpmath.erfc(-x / mp.sqrt(2)) / 2),
        (np.concatenate([signed(1e-4, 30)[100:], -np.geomspace(5, 1e4, 100)]),),
    ),
    "log_sigmoid": Case(
        numerics.log_sigmoid, lambda x: -mpmath.log1p(mp.exp(-x)), (signed(1e-6, 1e3),)
    ),
}


def relative_error(value, reference):
    reference = np.array([float(r) for r in reference])
    return np.max(np.abs(np.asarray(value, np.float64) - reference) / (1 + np.abs(reference)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_match_60_digits(name, dtype, x64):
    """|f − f*|/(1 + |f*|) and the same for every partial derivative, over the declared domain."""
    case = CASES[name]
    points = [np.asarray(d, dtype) for d in case.domain]
    with mp.workdps(60):
        exact = [[mp.mpf(float(v)) for v in p] for p in points]
        reference = [case.reference(*args) for args in zip(*exact, strict=True)]
        args = [jnp.asarray(p) for p in points]
        value = jax.jit(case.ours)(*args)
        assert value.dtype == dtype
        assert relative_error(value, reference) <= VALUE_TOLERANCE[dtype]
        every = tuple(range(len(points)))
        partials = jax.jit(jax.grad(lambda *a: jnp.sum(case.ours(*a)), argnums=every))(*args)
        for i, partial in enumerate(partials):
            slope = [
                mpmath.diff(lambda t, a=a, i=i: case.reference(*a[:i], t, *a[i + 1 :]), a[i])
                for a in zip(*exact, strict=True)
            ]
            assert relative_error(partial, slope) <= GRADIENT_TOLERANCE[dtype]


def test_the_naive_difference_of_sigmoids_is_lost():
    """In float32 log(σ(a + w) − σ(a)) as printed has no correct digit where ours has six."""
    a, w = jnp.float32(12.0), jnp.float32(1e-3)
    naive = jnp.log(jax.nn.sigmoid(a + w) - jax.nn.sigmoid(a))
    with mp.workdps(60):
        exact = float(mp.log(mp_sigmoid(12 + mp.mpf(float(w))) - mp_sigmoid(mp.mpf(12))))
    assert abs(float(numerics.log_sigmoid_difference(a, w)) - exact) < 2e-5
    assert not abs(float(naive) - exact) < 1e-2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logsumexp_matches_60_digits_with_infinities(dtype, x64):
    """Log Σ e^x with −inf entries and with masked entries that hold NaN."""
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(400, 6)) * np.geomspace(0.1, 200, 400)[:, None]).astype(dtype)
    x[rng.random(x.shape) < 0.2] = -np.inf
    keep = rng.random(x.shape) < 0.7
    keep[:, 0], x[:, 0] = True, rng.normal(size=400)
    hidden = np.where(keep, x, np.nan)
    with mp.workdps(60):
        reference = [
            mp.log(mp.fsum(mp.exp(mp.mpf(float(v))) for v, k in zip(r, m, strict=True) if k))
            for r, m in zip(x, keep, strict=True)
        ]

    def of_rows(v):
        return numerics.logsumexp(v, axis=1, where=jnp.asarray(keep))

    value = jax.jit(of_rows)(jnp.asarray(hidden))
    assert relative_error(value, reference) <= VALUE_TOLERANCE[dtype]
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(of_rows(v))))(jnp.asarray(hidden))
    weights = np.where(keep, np.exp(x - np.asarray(reference, np.float64)[:, None]), 0)
    assert np.max(np.abs(np.asarray(gradient) - weights)) <= GRADIENT_TOLERANCE[dtype]


def test_logsumexp_of_nothing_is_minus_infinity_with_gradient_zero():
    """All −inf, and all masked: value −inf, gradient 0, neither of them NaN."""
    empty = jnp.full(3, -jnp.inf)
    value, gradient = jax.jit(jax.value_and_grad(numerics.logsumexp))(empty)
    assert value == -jnp.inf
    np.testing.assert_array_equal(gradient, 0.0)

    def masked(v):
        return numerics.logsumexp(v, where=jnp.zeros(3, bool))

    value, gradient = jax.jit(jax.value_and_grad(masked))(jnp.ones(3))
    assert value == -jnp.inf
    np.testing.assert_array_equal(gradient, 0.0)
    assert np.isnan(jax.jit(jax.grad(lambda v: jnp.log(jnp.sum(jnp.exp(v)))))(empty)).all()


def test_logsumexp_axes_and_bad_values():
    """Axes behave as NumPy's do; NaN and +inf are never hidden."""
    x = jnp.arange(24.0).reshape(2, 3, 4) / 7
    expected = np.log(np.exp(np.asarray(x, np.float64)).sum(axis=(0, 2)))
    np.testing.assert_allclose(numerics.logsumexp(x, axis=(0, 2)), expected, rtol=1e-6)
    assert numerics.logsumexp(x, axis=-1, keepdims=True).shape == (2, 3, 1)
    assert np.isnan(numerics.logsumexp(jnp.array([0.0, jnp.nan])))
    assert numerics.logsumexp(jnp.array([0.0, jnp.inf])) == jnp.inf


norm_and_slope = jax.jit(jax.value_and_grad(numerics.norm))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_norm_has_no_overflow_and_a_unit_gradient(scale):
    """‖s·(3, 4)‖ = 5s and its gradient is (0.6, 0.8) at every scale."""
    x = jnp.array([3.0, 4.0]) * scale
    length, gradient = norm_and_slope(x)
    np.testing.assert_allclose(length, 5 * scale, rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.6, 0.8], rtol=1e-6)


def test_norm_at_zero_and_at_bad_values():
    """Gradient 0 at 0 where √Σx² gives NaN; NaN and inf stay what they are."""
    zero = jnp.zeros(3)
    np.testing.assert_array_equal(norm_and_slope(zero)[1], 0.0)
    assert np.isnan(jax.jit(jax.grad(lambda v: jnp.sqrt(jnp.sum(v**2))))(zero)).all()
    assert np.isnan(numerics.norm(jnp.array([1.0, jnp.nan])))
    assert numerics.norm(jnp.array([1.0, jnp.inf])) == jnp.inf
    rows = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(numerics.norm(rows, axis=1), [5.0, 0.0])
    assert numerics.norm(rows, axis=1, keepdims=True).shape == (2, 1)


def test_second_derivatives_match_closed_forms(x64):
    """LSE'' = diag(p) − ppᵀ and ‖x‖'' = (I − uuᵀ)/‖x‖ past stopped maxima; softplus'' = σ'."""
    x = jnp.array([0.3, -1.2, 2.0])

    @jax.jit
    def second(x):
        functions = numerics.logsumexp, lambda v: numerics.softplus(v).sum(), numerics.norm
        return [jax.hessian(f)(x) for f in functions], jax.grad(jax.grad(numerics.softplus))(
            0 * x[0]
        )

    (of_logsumexp, of_softplus, of_norm), at_zero = second(x)
    x = np.asarray(x)
    p = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(of_logsumexp, np.diag(p) - np.outer(p, p), atol=1e-14)
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(of_softplus, np.diag(s * (1 - s)), atol=1e-14)
    assert at_zero == 0.25
    r = np.linalg.norm(x)
    np.testing.assert_allclose(of_norm, (np.eye(3) - np.outer(x, x) / r**2) / r, atol=1e-14)


def test_softplus_at_the_edges():
    """The limits are exact, NaN stays NaN, and 16-bit floats keep their kind."""
    x = jnp.array([-jnp.inf, jnp.inf, jnp.nan, 0.0, -1e4, 1e4])
    expected = [0, np.inf, np.nan, np.log(2), 0, 1e4]
    softplus = jax.jit(numerics.softplus)
    np.testing.assert_allclose(softplus(x), expected, rtol=1e-7)
    np.testing.assert_allclose(jax.jit(jax.grad(numerics.softplus))(jnp.array(-1e4)), 0.0)
    half = softplus(jnp.ones(3, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), np.log1p(np.e), rtol=1e-2)


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [
        (jnp.bool_, jnp.float32),
        (jnp.uint8, jnp.float32),
        (jnp.bfloat16, jnp.float32),
        (jnp.float16, jnp.float32),
        (jnp.float32, jnp.float32),
        (jnp.float64, jnp.float64),
    ],
)
def test_widen_never_narrows(dtype, wide, x64):
    """Everything below float32 becomes float32; float64 stays float64."""
    assert numerics.widen(jnp.ones(2, dtype)).dtype == wide


def test_soft_clip_is_bounded_and_nearly_the_identity_inside():
    """|c tanh(x/c)| ≤ c with slope 1 at 0, in float32 and bfloat16."""
    for dtype in (jnp.float32, jnp.bfloat16):
        x = jnp.array([-1e4, -89.0, 0.0, 89.0, 1e4], dtype)
        assert (jnp.abs(numerics.soft_clip(x, 20.0)) <= 20.0).all()
    assert jax.grad(lambda x: numerics.soft_clip(x, 20.0))(0.0) == 1.0
    assert np.isnan(numerics.soft_clip(jnp.float32(jnp.nan), 20.0))


def test_widen_all_takes_the_widest_float(x64):
    """Labels and half floats follow the widest real; integers alone become float32."""
    for dtypes, wide in (
        (("bfloat16", "int32"), "float32"),
        (("float16", "float64", "bool"), "float64"),
        (("uint8",), "float32"),
        (("float32", "float64"), "float64"),
    ):
        arrays = numerics.widen_all(*(jnp.ones(2, d) for d in dtypes))
        assert {a.dtype.name for a in arrays} == {wide}
        assert len(arrays) == len(dtypes)
    big = jnp.array(16777217)  # 2²⁴ + 1, which float32 does not hold
    assert numerics.widen_all(big, jnp.ones((), float))[0] == 16777217


def test_absolute_has_slope_zero_at_zero():
    """sign(x) everywhere; infinities and NaN stay what they are."""
    x = jnp.array([-3.0, -1e-30, 0.0, 1e-30, 3.0])
    np.testing.assert_array_equal(numerics.absolute(x), np.abs(x))
    np.testing.assert_array_equal(jax.vmap(jax.grad(numerics.absolute))(x), [-1, -1, 0, 1, 1])
    special = jnp.array([jnp.inf, -jnp.inf, jnp.nan])
    np.testing.assert_array_equal(numerics.absolute(special), [np.inf, np.inf, np.nan])
