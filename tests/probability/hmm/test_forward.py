# SPDX-License-Identifier: Apache-2.0
"""Filtering against sums over all paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import hmm
from tests.probability.hmm.case import Chains, chains, enumerated


@pytest.mark.parametrize("changing", [False, True])
def test_the_evidence_is_the_sum_over_all_paths(changing, x64):
    """200 chains of 3 states and 5 times with forbidden steps, to 1e-12; each prefix a filter."""
    given = chains(changing=changing)
    found = jax.jit(jax.vmap(hmm.filtered))(*map(jnp.asarray, given))
    np.testing.assert_allclose(found.log_evidence, enumerated(given)["log_evidence"], atol=1e-12)
    for t in range(1, 6):
        steps = given.log_transition[:, : t - 1] if changing else given.log_transition
        part = Chains(given.log_initial, steps, given.log_likelihood[:, :t])
        last = enumerated(part)["smoothed"][:, -1]
        np.testing.assert_allclose(found.probabilities[:, t - 1], last, atol=1e-12)


def test_times_without_an_observation_say_nothing(x64):
    """A masked time is one that is equally likely in all states; one at the end changes nothing."""
    given = [jnp.asarray(a[0]) for a in chains(1)]
    mask = jnp.asarray([True, False, True, True, False])
    shown = given[2].at[jnp.asarray([1, 4])].set(0.0)
    found = hmm.filtered(given[0], given[1], given[2].at[1].set(jnp.nan), mask=mask)
    expected = hmm.filtered(given[0], given[1], shown)
    np.testing.assert_allclose(found.log_evidence, expected.log_evidence, atol=1e-12)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-12)
    short = hmm.log_evidence(given[0], given[1], shown[:4])
    np.testing.assert_allclose(found.log_evidence, short, atol=1e-12)


def test_slopes_of_the_evidence_are_posterior_expectations(x64):
    given = chains(20)
    slopes = jax.jit(jax.vmap(jax.grad(hmm.log_evidence, (0, 1, 2))))(*map(jnp.asarray, given))
    expected = enumerated(given)
    np.testing.assert_allclose(slopes[0], expected["smoothed"][:, 0], atol=1e-11)
    np.testing.assert_allclose(slopes[1], expected["pairwise"].sum(1), atol=1e-11)
    np.testing.assert_allclose(slopes[2], expected["smoothed"], atol=1e-11)


def test_what_is_impossible_has_the_evidence_of_zero():
    """No path: −inf and no NaN, in the slopes neither; one state of two and one time are enough."""
    initial, transition = jnp.zeros(2), jnp.log(jnp.asarray([[1.0, 0.0], [0.0, 1.0]]))
    never = jnp.asarray([[0.0, -jnp.inf], [-jnp.inf, 0.0], [0.0, 0.0]])
    found = hmm.filtered(initial, transition, never)
    assert found.log_evidence == -jnp.inf
    assert np.isfinite(found.probabilities).all()
    slope = jax.grad(hmm.log_evidence, 2)(initial, transition, never)
    assert np.isfinite(slope).all()
    alone = hmm.log_evidence(jnp.log(jnp.asarray([0.25, 0.75])), transition, never[:1])
    np.testing.assert_allclose(alone, np.log(0.25), rtol=1e-6)


def test_a_long_sequence_of_tiny_likelihoods_neither_vanishes_nor_overflows():
    """100,000 times at −1000 nats in single precision; two copies of one state change nothing."""
    t = 100_000
    initial = jnp.log(jnp.asarray([0.5, 0.5]))
    transition = jnp.log(jnp.asarray([[0.9, 0.1], [0.3, 0.7]]))
    found = jax.jit(hmm.log_evidence)(initial, transition, jnp.full((t, 2), -1000.0))
    np.testing.assert_allclose(found, -1000.0 * t, rtol=1e-5)


def test_shapes_that_do_not_fit_are_refused():
    a, b, c = jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros((3, 2))
    with pytest.raises(ValueError, match="log_transition"):
        hmm.filtered(a, jnp.zeros((4, 2, 2)), c)
    with pytest.raises(ValueError, match="log_initial"):
        hmm.filtered(jnp.zeros(3), jnp.zeros((3, 3)), c)
    with pytest.raises(ValueError, match="mask"):
        hmm.filtered(a, b, c, mask=jnp.ones(2, bool))
