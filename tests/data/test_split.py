# SPDX-License-Identifier: Apache-2.0
"""A split is a partition."""

import numpy as np
import pytest

from jaxml.data.split import concatenate, split

ARRAYS = {"x": np.arange(40).reshape(20, 2), "y": np.arange(20)}


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_train_valid_and_test_partition_the_examples(seed):
    """train ∪ valid ∪ test = all, and the pairwise intersections are empty."""
    splits = split(ARRAYS, 3, 5, seed=seed)
    assert [len(part["y"]) for part in splits] == [12, 3, 5]
    whole = concatenate(*splits)
    np.testing.assert_array_equal(np.sort(whole["y"]), np.arange(20))
    np.testing.assert_array_equal(whole["x"], ARRAYS["x"][whole["y"]])


def test_without_a_seed_the_last_rows_are_the_test():
    splits = split(ARRAYS, 3, 5)
    np.testing.assert_array_equal(splits.valid["y"], [12, 13, 14])
    np.testing.assert_array_equal(splits.test["y"], [15, 16, 17, 18, 19])


def test_the_seed_decides():
    first, again, other = (split(ARRAYS, 3, 5, seed=seed).test["y"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


@pytest.mark.parametrize(("n_valid", "n_test"), [(20, 0), (10, 10), (-1, 2), (0, 21)])
def test_sizes_that_leave_nothing_to_train_on_are_refused(n_valid, n_test):
    with pytest.raises(ValueError, match="n_valid, n_test"):
        split(ARRAYS, n_valid, n_test)
