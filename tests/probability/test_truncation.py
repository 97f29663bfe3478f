# SPDX-License-Identifier: Apache-2.0
"""Truncated categorical laws against sets built one category after the other in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import truncation

N = 7


def draw(x64=True):
    """Rows of logits: distinct, with ties, all equal, and with categories that are excluded.

    Halves of integers, so that ties are exact and no sum of probabilities falls on a threshold.
    """
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=N) for _ in range(20)]
    rows += [rng.integers(-3, 4, size=N) / 2 for _ in range(60)]
    rows += [np.zeros(N), np.where(np.arange(N) < 4, 1.5, -np.inf), np.eye(N)[3] * 50]
    return np.array(rows)


def softmax(a):
    weight = np.exp(a - a.max())
    return weight / weight.sum()


def ties(a, keep):
    """`keep` with all that is as likely as something in it."""
    return np.isin(a, a[keep]) & (a > -np.inf)


def by_rank(a, k):
    order = np.argsort(-a, kind="stable")
    return ties(a, order[:k])


def by_mass(a, p):
    total, chosen, probability = 0.0, [], softmax(a)
    for i in np.argsort(-a, kind="stable"):
        chosen.append(i)
        total += probability[i]
        if total >= p:
            break
    return ties(a, np.array(chosen))


def by_ratio(a, p):
    probability = softmax(a)
    return probability >= p * probability.max()


CASES = {
    "top 1": (partial(truncation.top_k, k=1), partial(by_rank, k=1)),
    "top 3": (partial(truncation.top_k, k=3), partial(by_rank, k=3)),
    "top all": (partial(truncation.top_k, k=N), partial(by_rank, k=N)),
    "nucleus .1": (partial(truncation.top_p, p=0.1), partial(by_mass, p=0.1)),
    "nucleus .63": (partial(truncation.top_p, p=0.63), partial(by_mass, p=0.63)),
    "nucleus .97": (partial(truncation.top_p, p=0.97), partial(by_mass, p=0.97)),
    "ratio .07": (partial(truncation.min_p, p=0.07), partial(by_ratio, p=0.07)),
    "ratio .4": (partial(truncation.min_p, p=0.4), partial(by_ratio, p=0.4)),
    "ratio 1": (partial(truncation.min_p, p=1.0), lambda a: a == a.max()),
}


@pytest.mark.parametrize("name", CASES)
def test_the_sets_are_those_of_the_definitions(name, x64):
    """Ties with a kept category are kept; what is kept keeps its logit, the rest has −inf."""
    ours, reference = CASES[name]
    logits = draw()
    got = np.asarray(jax.jit(ours)(jnp.asarray(logits)))
    expected = np.array([np.where(reference(row), row, -np.inf) for row in logits])
    np.testing.assert_array_equal(got, expected)
    assert (got > -np.inf).any(1).all()


def test_everything_is_kept_at_the_ends(x64):
    """k = n, p = 1 and a ratio near 0 change nothing, traced or not, rounding or not."""
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(50, 400)) * 8)
    for same in (
        truncation.top_k(logits, 1000),
        jax.jit(truncation.top_p)(logits, 1.0),
        jax.jit(truncation.top_p)(logits.astype("f4"), jnp.asarray(1.0, "f4")),
        truncation.min_p(logits, 1e-300),
        truncation.truncate(logits),
    ):
        np.testing.assert_array_equal(same, logits.astype(same.dtype))


def test_truncations_follow_one_another(x64):
    """Temperature, rank, mass, ratio: each on the law that the one before it left."""
    logits, options = draw(), {"temperature": 0.7, "top_k": 4, "top_p": 0.8, "min_p": 0.3}
    got = jax.jit(lambda a: truncation.truncate(a, **options))(jnp.asarray(logits))
    for row, own in zip(np.asarray(got), logits / 0.7, strict=True):
        for keep in (partial(by_rank, k=4), partial(by_mass, p=0.8), partial(by_ratio, p=0.3)):
            own = np.where(keep(own), own, -np.inf)
        np.testing.assert_allclose(row, own, rtol=1e-14)


def test_a_permutation_of_categories_permutes_the_law(x64):
    """No rule looks at numbers of categories, ties or not."""
    logits, order = jnp.asarray(draw()), np.random.default_rng(2).permutation(N)
    for ours, _ in CASES.values():
        np.testing.assert_array_equal(ours(logits[:, order]), ours(logits)[:, order])


def test_half_precision_and_nan_stay_what_they_are():
    """bfloat16 in, bfloat16 out; NaN is not turned into a law."""
    half = jnp.asarray(draw(), jnp.bfloat16)
    broken = jnp.asarray([[0.0, jnp.nan, 1.0]])
    for ours, _ in CASES.values():
        assert ours(half).dtype == jnp.bfloat16
        assert jnp.isnan(ours(broken)).any()


def test_gradients_reach_what_is_kept():
    """∂ log p/∂a is onehot − p inside the set and 0 outside."""

    def log_p(a):
        return jax.nn.log_softmax(truncation.truncate(a, top_p=0.8, top_k=3))[0]

    a = jnp.asarray([2.0, 1.0, 0.5, -1.0])
    slope = jax.jit(jax.grad(log_p))(a)
    p = softmax(np.array([2.0, 1.0]))
    np.testing.assert_allclose(slope, [1 - p[0], -p[1], 0, 0], atol=1e-6)


def test_what_does_not_fit_is_refused():
    a = jnp.zeros(3)
    for message, options in {
        "top_k: expected at least 1, got 0": {"top_k": 0},
        r"top_p: expected a number in \(0, 1\], got 0": {"top_p": 0.0},
        r"top_p: expected a number in \(0, 1\], got 1.5": {"top_p": 1.5},
        r"min_p: expected a number in \(0, 1\], got nan": {"min_p": float("nan")},
        "temperature: expected a positive number, got 0": {"temperature": 0.0},
    }.items():
        with pytest.raises(ValueError, match=message):
            truncation.truncate(a, **options)
