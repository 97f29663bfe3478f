# SPDX-License-Identifier: Apache-2.0
"""Tenfold cross-validation: what is learned, what validates, and what is tested."""

import numpy as np
import scipy.stats

from experiments import flow_uci

RNG = np.random.default_rng(0)


def test_every_row_is_tested_once_and_never_learned_from():
    """Of each fold the three parts are disjoint; the ten test parts are the table."""
    x = RNG.normal(size=(107, 3)).astype(np.float32)
    parts = flow_uci.folds(x, seed=1)
    tested = np.concatenate(parts.test)
    np.testing.assert_array_equal(np.sort(tested, 0), np.sort(x, 0))
    assert parts.train.shape == (10, 85, 3)
    for train, valid, test in zip(parts.train, parts.valid, parts.test, strict=True):
        rows = {tuple(row) for row in np.concatenate([train, valid, test])}
        assert len(rows) == len(train) + len(valid) + len(test)
    again, other = flow_uci.folds(x, seed=1), flow_uci.folds(x, seed=2)
    np.testing.assert_array_equal(parts.train, again.train)
    assert (parts.train != other.train).any()


def test_the_gaussian_is_that_of_its_training_rows():
    """Fold by fold the log-density of SciPy, in nats."""
    x = (RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 2))).astype(np.float32)
    parts = flow_uci.folds(x, seed=0)
    expected = [
        scipy.stats.multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(test)
        for train, test in zip(parts.train.astype(float), parts.test, strict=True)
    ]
    np.testing.assert_allclose(flow_uci.gaussian(parts), np.concatenate(expected), rtol=1e-6)
