# SPDX-License-Identifier: Apache-2.0
"""Draws of paths have the law of the chain, before and after observations."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import hmm, markov_chain
from tests.probability.hmm.case import Chains, chains, enumerated

QUANTILE = 1e-4


def frequencies(paths, k):
    numbers = np.asarray(paths) @ k ** np.arange(paths.shape[1])[::-1]
    return np.bincount(numbers, minlength=k ** paths.shape[1])


def test_draws_have_the_law_of_the_chain():
    """All 81 paths of 3 states in 20,000 draws: χ² below its 1e-4 quantile, none forbidden."""
    stats = pytest.importorskip("scipy.stats")
    given = chains(1, t=4)
    keys, n = jax.random.split(jax.random.key(0), 20_000), 20_000
    args = [jnp.asarray(a[0], jnp.float32) for a in given]
    prior = jax.jit(jax.vmap(lambda key: markov_chain.sample(args[0], args[1], key, 4)))(keys)
    after = jax.jit(jax.vmap(partial(hmm.sample_posterior, *args)))(
        jax.random.split(jax.random.key(1), n)
    )
    blind = Chains(given.log_initial, given.log_transition, np.zeros_like(given.log_likelihood))
    for paths, law in ((prior, blind), (after, given)):
        expected = n * enumerated(law)["every"][1][0]
        seen = frequencies(paths, 3)
        allowed = expected > 0
        assert seen[~allowed].sum() == 0
        chi = ((seen - expected)[allowed] ** 2 / expected[allowed]).sum()
        assert chi < stats.chi2.isf(QUANTILE, allowed.sum() - 1)
