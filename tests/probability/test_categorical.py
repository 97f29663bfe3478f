# SPDX-License-Identifier: Apache-2.0
"""Categories: log-probabilities and entropies against sums, with classes that never occur."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats

from jaxml.probability import categorical

LOGITS = np.array([[0.3, -1.0, 2.0, -np.inf], [40.0, -200.0, 0.0, 40.0]])


def test_log_prob_and_entropy_are_those_of_the_softmax(x64):
    p = scipy.special.softmax(LOGITS, axis=1)
    log_p = scipy.special.log_softmax(LOGITS, axis=1)
    logits = jnp.asarray(LOGITS)
    for k in range(4):
        found = jax.jit(categorical.log_prob)(jnp.array([k, k], jnp.int32), logits)
        np.testing.assert_allclose(found, log_p[:, k], rtol=1e-13)
    np.testing.assert_allclose(categorical.entropy(logits), scipy.stats.entropy(p.T), rtol=1e-13)


def test_slopes_are_closed_forms_also_where_a_class_is_excluded(x64):
    """∂ log P(x)/∂a = 1_x − p, and ∂H/∂a_i = −p_i (log p_i + H); 0 where p is."""
    p = scipy.special.softmax(LOGITS[0])
    logits = jnp.asarray(LOGITS[0])
    slope = jax.grad(lambda a: categorical.log_prob(jnp.int32(2), a))(logits)
    np.testing.assert_allclose(slope, np.eye(4)[2] - p, atol=1e-14)
    entropy = scipy.stats.entropy(p)
    expected = -p * (np.log(np.where(p > 0, p, 1)) + entropy)
    np.testing.assert_allclose(jax.grad(categorical.entropy)(logits), expected, atol=1e-14)


def test_a_class_that_there_is_not_is_nan():
    for x in (-1, 3):
        assert np.isnan(categorical.log_prob(jnp.int32(x), jnp.zeros(3)))


def test_draws_follow_the_law():
    p = scipy.special.softmax(LOGITS[0])
    logits = jnp.broadcast_to(jnp.asarray(LOGITS[0], jnp.float32), (20_000, 4))
    counts = np.bincount(np.asarray(categorical.sample(logits, jax.random.key(0))), minlength=4)
    assert counts[3] == 0
    assert scipy.stats.chisquare(counts[:3], 20_000 * p[:3]).pvalue > 1e-3
