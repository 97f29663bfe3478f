# SPDX-License-Identifier: Apache-2.0
"""The best path against all others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import hmm
from tests.probability.hmm.case import chains, enumerated


@pytest.mark.parametrize("changing", [False, True])
def test_it_is_the_best_of_all_paths(changing, x64):
    """200 chains with forbidden steps: the path itself, and its log-probability to 1e-12."""
    given = chains(changing=changing)
    found = jax.jit(jax.vmap(hmm.viterbi))(*map(jnp.asarray, given))
    expected = enumerated(given)
    np.testing.assert_allclose(found.log_prob, expected["log_prob"], atol=1e-12)
    np.testing.assert_array_equal(found.states, expected["path"])


def test_unobserved_times_are_bridged():
    """Between two sure states of a cycle lies the one that joins them."""
    cycle = jnp.log(jnp.asarray([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    sure = jnp.log(jnp.eye(3))
    mask = jnp.asarray([True, False, True, False])
    seen = jnp.stack([sure[1], jnp.full(3, jnp.nan), sure[0], jnp.full(3, jnp.nan)])
    found = hmm.viterbi(jnp.zeros(3), cycle, seen, mask=mask)
    np.testing.assert_array_equal(found.states, [1, 2, 0, 1])
    assert found.log_prob == 0
