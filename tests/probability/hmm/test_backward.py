# SPDX-License-Identifier: Apache-2.0
"""Smoothing against sums over all paths, in both forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import hmm
from tests.probability.hmm.case import chains, enumerated


@pytest.mark.parametrize("changing", [False, True])
@pytest.mark.parametrize("way", [hmm.posterior, hmm.parallel_posterior])
def test_states_and_pairs_have_their_shares_of_all_paths(way, changing, x64):
    """200 chains with forbidden steps, to 1e-12, by the loop and by the associative scan."""
    given = chains(changing=changing)
    found = jax.jit(jax.vmap(way))(*map(jnp.asarray, given))
    expected = enumerated(given)
    np.testing.assert_allclose(found.log_evidence, expected["log_evidence"], atol=1e-12)
    np.testing.assert_allclose(found.smoothed, expected["smoothed"], atol=1e-12)
    pairs = jax.vmap(hmm.pairwise)(found, jnp.asarray(given.log_transition))
    np.testing.assert_allclose(pairs, expected["pairwise"], atol=1e-12)
    if not changing:
        sums = jax.vmap(hmm.expected_transitions)(found, jnp.asarray(given.log_transition))
        np.testing.assert_allclose(sums, expected["pairwise"].sum(1), atol=1e-11)


@pytest.mark.parametrize("way", [hmm.posterior, hmm.parallel_posterior])
def test_masked_times_and_long_chains(way):
    """1000 times, a third unobserved: both forms agree with autodiff of the evidence."""
    rng = np.random.default_rng(0)
    t, k = 1000, 4
    matrix = rng.dirichlet(np.ones(k), size=k)
    args = (
        jnp.full(k, -np.log(k)),
        jnp.log(jnp.asarray(matrix)),
        jnp.asarray(3 * rng.normal(size=(t, k))),
    )
    args = [jnp.asarray(a, jnp.float32) for a in args]
    mask = jnp.asarray(rng.random(t) < 2 / 3)
    found = jax.jit(way)(*args, mask=mask)
    np.testing.assert_allclose(found.smoothed.sum(1), 1, rtol=1e-4)

    def evidence(shift):
        return hmm.log_evidence(args[0], args[1], jnp.where(mask[:, None], args[2], 0.0) + shift)

    slope = jax.jit(jax.grad(evidence))(jnp.zeros((t, k)))
    np.testing.assert_allclose(found.smoothed, slope, atol=1e-4)


def test_one_time_is_its_own_posterior():
    args = jnp.log(jnp.asarray([0.25, 0.75])), jnp.zeros((2, 2)), jnp.zeros((1, 2))
    for way in (hmm.posterior, hmm.parallel_posterior):
        found = way(*args)
        np.testing.assert_allclose(found.smoothed, [[0.25, 0.75]], rtol=1e-6)
        assert found.ratio.shape == (0, 2)


def test_the_impossible_leaves_no_nan():
    initial, transition = jnp.zeros(2), jnp.log(jnp.asarray([[1.0, 0.0], [0.0, 1.0]]))
    never = jnp.asarray([[0.0, -jnp.inf], [-jnp.inf, 0.0], [0.0, 0.0]])
    for way in (hmm.posterior, hmm.parallel_posterior):
        found = way(initial, transition, never)
        assert found.log_evidence == -jnp.inf
        assert np.isfinite(found.smoothed).all()
