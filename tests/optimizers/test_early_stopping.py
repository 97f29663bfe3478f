# SPDX-License-Identifier: Apache-2.0
"""Early stopping as a state machine."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.optimizers import early_stopping


def watched(values, **options):
    """The state after each look, under scan."""

    def step(state, value):
        state = early_stopping.look(state, value, **options)
        return state, state

    return jax.lax.scan(step, early_stopping.start(), jnp.asarray(values, jnp.float32))[1]


def test_looks_without_progress_are_counted():
    """Since the best: 0 0 1 2 0 1; the best is remembered with its place."""
    seen = watched([3.0, 2.0, 2.5, 2.0, 1.0, 4.0])
    np.testing.assert_array_equal(seen.since, [0, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(seen.best, [3, 2, 2, 2, 1, 1])
    np.testing.assert_array_equal(seen.at, [0, 1, 1, 1, 4, 4])
    np.testing.assert_array_equal(
        jax.vmap(lambda state: early_stopping.spent(state, 2))(seen),
        [False, False, False, True, False, False],
    )


def test_small_progress_does_not_count():
    """Below the best by less than `least`, and equal to it, is no progress."""
    np.testing.assert_array_equal(watched([3.0, 2.95, 2.8], least=0.1).since, [0, 1, 0])


def test_nan_is_no_progress_and_the_start_is_finite():
    """A run that diverges runs out of patience; a checkpoint can hold the beginning."""
    seen = watched([jnp.nan, jnp.nan, 1.0, jnp.nan])
    np.testing.assert_array_equal(seen.since, [1, 2, 0, 1])
    np.testing.assert_array_equal(seen.at, [-1, -1, 2, 2])
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(early_stopping.start()))
