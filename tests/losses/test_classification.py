# SPDX-License-Identifier: Apache-2.0
"""Costs of a predicted class against 60 digits, SciPy, scikit-learn and closed-form derivatives."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from mpmath import mp

from jaxml.losses import classification as loss

EDGES = [s * v for v in (0.0, 1.0, 20.0, 89.0, 1e4) for s in (1, -1)]
LOGITS = np.concatenate([np.array(np.meshgrid(*[EDGES] * 3)).reshape(3, -1).T,
                         np.random.default_rng(0).normal(size=(200, 3)) * 4])  # fmt: skip
LABELS = np.arange(len(LOGITS)) % 3


cross_entropy, soft_cross_entropy, binary_cross_entropy = map(
    jax.jit, (loss.cross_entropy, loss.soft_cross_entropy, loss.binary_cross_entropy)
)
focal, binary_focal = (jax.jit(f, static_argnames="gamma") for f in (loss.focal, loss.binary_focal))


def exact_costs(logits):
    """−log softmax of each class in 60 digits."""
    with mp.workdps(60):
        rows = []
        for row in logits:
            a = [mp.mpf(float(v)) for v in row]
            # The sum over the others first: 60 digits do not hold 1 + e^−10000.
            rest = [
                mp.fsum(mp.exp(o - v) for j, o in enumerate(a) if j != i) for i, v in enumerate(a)
            ]
            rows.append([mpmath.log1p(r) for r in rest])
        return rows


def as_float(values):
    return np.array(values, dtype=object).astype(np.float64)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_cross_entropy_keeps_every_digit_of_a_small_loss(dtype, tol, x64):
    """Relative to itself, from 1e-37 to 2e4 in float32, with integer and with soft labels.

    A loss of e^−m is off by what rounding the difference m of two logits changes.
    """
    logits = LOGITS.astype(dtype)
    costs = as_float(exact_costs(logits))
    exact = costs[np.arange(len(LABELS)), LABELS]
    ours = cross_entropy(jnp.asarray(logits), jnp.asarray(LABELS))
    assert ours.shape == LABELS.shape
    assert ours.dtype == dtype
    tiny = 10 * np.finfo(dtype).tiny
    error = np.abs(np.asarray(ours, np.float64) - exact)
    assert (error <= tol * exact * (1 + np.abs(np.log(exact + tiny))) + tiny).all()
    p = np.random.default_rng(1).dirichlet(np.ones(3), len(logits)).astype(dtype)
    ours = soft_cross_entropy(jnp.asarray(logits), jnp.asarray(p))
    exact = (p.astype(np.float64) * costs).sum(-1)
    np.testing.assert_allclose(ours, exact, rtol=10 * tol, atol=10 * tol)


def test_two_logits_are_one(x64):
    """Classes with logits (0, a) cost what the binary cross entropy of a does; so does focal."""
    a = jnp.asarray(LOGITS[:, 0])
    both = jnp.stack([jnp.zeros(a.shape), a], axis=-1)
    y = jnp.asarray(LABELS % 2)
    np.testing.assert_allclose(cross_entropy(both, y), binary_cross_entropy(a, y), rtol=1e-14)
    np.testing.assert_allclose(focal(both, y), binary_focal(a, y), rtol=1e-14)


def test_binary_cross_entropy_matches_60_digits(x64):
    """−y log σ(a) − (1 − y) log σ(−a) for y in {0, ¼, 1} and logits to 1e4; slope σ(a) − y."""
    a = np.array(EDGES)
    slope_of_sum = jax.jit(jax.grad(lambda a, y: loss.binary_cross_entropy(a, y).sum()))
    for y in (0.0, 0.25, 1.0):
        with mp.workdps(60):
            exact = [
                y * mpmath.log1p(mp.exp(-mp.mpf(v))) + (1 - y) * mpmath.log1p(mp.exp(mp.mpf(v)))
                for v in a
            ]
        labels = jnp.full(a.shape, y)
        ours = binary_cross_entropy(jnp.asarray(a), labels)
        np.testing.assert_allclose(ours, as_float(exact), rtol=1e-14, atol=1e-15)
        slope = slope_of_sum(jnp.asarray(a), labels)
        np.testing.assert_allclose(slope, scipy.special.expit(a) - y, rtol=1e-14, atol=1e-15)


def test_the_slope_is_softmax_minus_one_hot(x64):
    """∂/∂a = softmax(a) − onehot(y), also for logits of ±1e4; of soft labels softmax(a) − p."""
    a, y = jnp.asarray(LOGITS), jnp.asarray(LABELS)
    slope = jax.jit(jax.grad(lambda a: loss.cross_entropy(a, y).sum()))(a)
    hot = np.eye(3)[LABELS]
    np.testing.assert_allclose(slope, scipy.special.softmax(LOGITS, -1) - hot, atol=1e-14)
    p = np.random.default_rng(1).dirichlet(np.ones(3), len(LOGITS))
    slope = jax.jit(jax.grad(lambda a: loss.soft_cross_entropy(a, jnp.asarray(p)).sum()))(a)
    np.testing.assert_allclose(slope, scipy.special.softmax(LOGITS, -1) - p, atol=1e-14)


def test_the_slope_of_a_confident_prediction_is_not_rounded_away():
    """At a lead of 20 in float32, p_y − 1 is 0 but the slope is −2e-9, as it should be."""
    a = jnp.array([20.0, 0.0, -3.0])
    slope = jax.jit(jax.grad(loss.cross_entropy))(a, jnp.array(0))
    rest = np.exp(-20) + np.exp(-23)
    np.testing.assert_allclose(slope[0], -rest / (1 + rest), rtol=1e-6)
    assert jax.nn.softmax(a)[0] - 1 == 0


def test_the_hessian_is_the_covariance_of_the_one_hot_label(x64):
    """diag(p) − ppᵀ; the printed p_j(δ_jk − p_k)p_j(δ_ji − p_i) and Var(logits) are not it."""
    a = jnp.array([0.3, -1.2, 2.0])
    p = scipy.special.softmax(np.asarray(a))
    expected = np.diag(p) - np.outer(p, p)
    hessian = jax.jit(jax.hessian(loss.cross_entropy))
    for y in range(3):
        np.testing.assert_allclose(hessian(a, jnp.array(y)), expected, atol=1e-14)
    soft = jax.jit(jax.hessian(loss.soft_cross_entropy))(a, jnp.array([0.2, 0.5, 0.3]))
    np.testing.assert_allclose(soft, expected, atol=1e-14)

    outcomes = np.eye(3)  # the covariance of the one-hot label, by enumeration
    covariance = np.einsum("k,ki,kj->ij", p, outcomes - np.asarray(p), outcomes - np.asarray(p))
    np.testing.assert_allclose(covariance, expected, atol=1e-15)
    printed = expected * expected.T
    assert np.abs(printed - expected).max() > 0.05
    assert np.abs(np.asarray(p) @ np.asarray(a) ** 2 - (p @ a) ** 2 - np.diag(expected)).min() > 0.1


def test_excluded_classes_and_labels_of_no_class():
    """A logit of −inf is a class that cannot be; −1 and K name no class and give NaN."""
    a = jnp.array([1.0, -jnp.inf, 0.0])
    value_and_slope = jax.jit(jax.value_and_grad(loss.cross_entropy))
    value, slope = value_and_slope(a, jnp.array(0))
    np.testing.assert_allclose(value, np.log1p(np.exp(-1)), rtol=1e-6)
    np.testing.assert_allclose(slope, [-0.2689414, 0, 0.2689414], rtol=1e-6)
    assert value_and_slope(a, jnp.array(1))[0] == jnp.inf
    soft_and_slope = jax.jit(jax.value_and_grad(loss.soft_cross_entropy))
    soft, slope = soft_and_slope(a, jnp.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(soft, value, rtol=1e-6)
    np.testing.assert_allclose(slope, [-0.2689414, 0, 0.2689414], rtol=1e-6)
    assert soft_and_slope(a, jnp.array([0.5, 0.5, 0.0]))[0] == jnp.inf
    alone = jax.jit(jax.value_and_grad(loss.cross_entropy))(jnp.array([3.0]), jnp.array(0))
    assert alone == (0, 0)
    three = jnp.asarray(np.tile([1.0, 2.0, 0.0], (3, 1)), jnp.float32)
    for cost in (loss.cross_entropy, loss.focal, loss.hinge):
        assert np.isnan(jax.jit(cost)(three, jnp.array([-1, 3, 255]))).all()
    assert cross_entropy(jnp.zeros((2, 256)), jnp.array([3, 255], jnp.uint8)).shape == (2,)


@pytest.mark.parametrize("amount", [0.0, 0.1, 1.0])
def test_smoothed_labels_mix_with_the_uniform_distribution(amount, x64):
    """(1 − α) cost of y + α · mean cost: the label's at α = 0, no label's at α = 1."""
    a, y = jnp.asarray(LOGITS), jnp.asarray(LABELS)
    costs = as_float(exact_costs(LOGITS))
    smooth = loss.smooth_labels(jax.nn.one_hot(y, 3, dtype=float), amount, n_classes=3)
    np.testing.assert_allclose(smooth.sum(-1), 1, rtol=1e-15)
    expected = (1 - amount) * costs[np.arange(len(LABELS)), LABELS] + amount * costs.mean(-1)
    np.testing.assert_allclose(soft_cross_entropy(a, smooth), expected, rtol=1e-13, atol=1e-13)
    binary = loss.smooth_labels(jnp.array([False, True]), amount, n_classes=2)
    np.testing.assert_allclose(binary, [amount / 2, 1 - amount / 2], rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_matches_60_digits(gamma, x64):
    """−(1 − p)^γ log p; for γ = 0 the cross entropy; down to 1e-300 for confident predictions."""
    with mp.workdps(60):
        exact = []
        for row, y in zip(exact_costs(LOGITS), LABELS, strict=True):
            exact.append((-mpmath.expm1(-row[y])) ** mp.mpf(gamma) * row[y])
    ours = focal(jnp.asarray(LOGITS), jnp.asarray(LABELS), gamma=gamma)
    np.testing.assert_allclose(ours, as_float(exact), rtol=1e-12, atol=1e-300)
    if gamma == 0:
        plain = cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS))
        np.testing.assert_array_equal(ours, plain)


def test_binary_focal_weighs_soft_labels_and_is_symmetric(x64):
    """y = 1 at a costs what y = 0 at −a does; a label between weighs the two costs."""
    a = jnp.asarray(LOGITS[-50:, 0])
    one, zero = jnp.ones(a.shape), jnp.zeros(a.shape)
    high, low = (np.asarray(binary_focal(a, y)) for y in (one, zero))
    np.testing.assert_array_equal(high, binary_focal(-a, zero))
    p = scipy.special.expit(np.asarray(a))
    np.testing.assert_allclose(high, -((1 - p) ** 2) * np.log(p), rtol=1e-12)
    np.testing.assert_allclose(binary_focal(a, 0.3 * one), 0.3 * high + 0.7 * low, rtol=1e-13)


def test_hinges_match_scikit_learn(x64):
    """The mean hinge losses of two and of three classes."""
    s = LOGITS[-200:]
    ours = jax.jit(loss.hinge)(jnp.asarray(s), jnp.asarray(LABELS[-200:]))
    assert ours.shape == (200,)
    np.testing.assert_allclose(
        ours.mean(), sklearn.metrics.hinge_loss(LABELS[-200:], s), rtol=1e-14
    )
    y = LABELS[-200:] % 2
    ours = jax.jit(loss.binary_hinge)(jnp.asarray(s[:, 0]), jnp.asarray(y))
    np.testing.assert_allclose(ours.mean(), sklearn.metrics.hinge_loss(y, s[:, 0]), rtol=1e-14)
    assert (np.asarray(ours)[(2 * y - 1) * s[:, 0] > 1] == 0).all()


def test_options_out_of_range_are_refused():
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="amount: expected a number from 0 to 1"):
            loss.smooth_labels(jnp.ones(2), bad, n_classes=2)
    with pytest.raises(ValueError, match="gamma: expected a number that is not negative"):
        loss.binary_focal(jnp.ones(2), jnp.ones(2), gamma=-1.0)
