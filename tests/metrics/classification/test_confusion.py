# SPDX-License-Identifier: Apache-2.0
"""Counts against scikit-learn, and their sums over batches, steps and devices."""

import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxml.metrics import classification as metric

RNG = np.random.default_rng(0)
LABELS, GUESSES = RNG.integers(0, 5, size=(2, 400))


def test_confusion_matrix_matches_scikit_learn():
    """Rows are the true class, columns the predicted one; classes that never occur keep a row."""
    confusion_matrix = jax.jit(metric.confusion_matrix, static_argnums=2)
    matrix = confusion_matrix(jnp.asarray(LABELS), jnp.asarray(GUESSES), 6)
    expected = sklearn.metrics.confusion_matrix(LABELS, GUESSES, labels=range(6))
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.dtype == jnp.int32
    grid = (jnp.asarray(v.reshape(4, 100)) for v in (LABELS, GUESSES))
    folded = confusion_matrix(*grid, 6)
    np.testing.assert_array_equal(folded, expected)
    small = confusion_matrix(jnp.asarray(LABELS, jnp.uint8), jnp.asarray(GUESSES), 6)
    np.testing.assert_array_equal(small, expected)


def test_padding_is_not_counted():
    """Labels of −1 and K, and predictions of no class, never wrap around to another cell."""
    labels, guesses = jnp.array([0, -1, 3, 1, 1, 2]), jnp.array([0, 0, 0, -1, 3, 1])
    matrix = metric.confusion_matrix(labels, guesses, 3)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 0, 0], [0, 1, 0]])


def test_outcomes_match_scikit_learn():
    """TN, FP, FN, TP of each class, from a confusion matrix and from truth values."""
    matrix = metric.confusion_matrix(jnp.asarray(LABELS), jnp.asarray(GUESSES), 5)
    hot, guessed = np.eye(5, dtype=bool)[LABELS], np.eye(5, dtype=bool)[GUESSES]
    expected = sklearn.metrics.multilabel_confusion_matrix(LABELS, GUESSES, labels=range(5))
    for counts in (
        metric.one_against_rest(matrix),
        metric.outcomes(jnp.asarray(hot), jnp.asarray(guessed)),
    ):
        tp, fp, fn, tn = counts
        ours = np.stack([np.stack([tn, fp], -1), np.stack([fn, tp], -1)], axis=-2)
        np.testing.assert_array_equal(ours, expected)
    one = metric.outcomes(jnp.asarray(hot[:, 2]), jnp.asarray(guessed[:, 2]))
    np.testing.assert_array_equal(
        [[one.true_negative, one.false_positive], [one.false_negative, one.true_positive]],
        expected[2],
    )


def test_several_labels_at_once_match_scikit_learn():
    """An example may belong to several classes or to none."""
    truth, guess = RNG.random((2, 200, 4)) < 0.4
    tp, fp, fn, tn = metric.outcomes(jnp.asarray(truth), jnp.asarray(guess))
    expected = sklearn.metrics.multilabel_confusion_matrix(truth, guess)
    ours = np.stack([np.stack([tn, fp], -1), np.stack([fn, tp], -1)], axis=-2)
    np.testing.assert_array_equal(ours, expected)


def test_counts_add_up_over_batches_steps_and_devices():
    """Merged, carried through a scan and summed over a mapped axis: the counts of all at once."""
    labels, guesses = jnp.asarray(LABELS).reshape(8, 50), jnp.asarray(GUESSES).reshape(8, 50)
    scores, right = RNG.random((8, 50)).astype(np.float32), RNG.random((8, 50)) < 0.5
    edges = jnp.linspace(0, 1, 9)

    def count(labels, guesses, scores, right):
        matrix = metric.confusion_matrix(labels, guesses, 5)
        return (
            metric.one_against_rest(matrix),
            metric.score_counts(right, scores, edges),
            metric.reliability(right, scores, n_bins=10),
            metric.mean(scores),
        )

    data = (labels, guesses, jnp.asarray(scores), jnp.asarray(right))
    whole = jax.jit(count)(*(part.ravel() for part in data))
    first = jax.jit(count)(*(part[0] for part in data))

    @jax.jit
    def scanned(data):
        def step(total, batch):
            return metric.merge(total, count(*batch)), None

        rest = jax.tree.map(lambda part: part[1:], data)
        return jax.lax.scan(step, first, rest)[0]

    @jax.jit
    @partial(jax.vmap, axis_name="shard")
    def summed(batch):
        return jax.lax.psum(count(*batch), "shard")

    for total in (scanned(data), jax.tree.map(lambda leaf: leaf[0], summed(data))):
        for ours, expected in zip(jax.tree.leaves(total), jax.tree.leaves(whole), strict=True):
            assert ours.dtype == expected.dtype
            if jnp.issubdtype(ours.dtype, jnp.integer):
                np.testing.assert_array_equal(ours, expected)
            else:
                np.testing.assert_allclose(ours, expected, rtol=1e-5)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jaxml.metrics import classification as metric

assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
spec = jax.sharding.PartitionSpec
labels = jnp.asarray(np.random.default_rng(0).integers(0, 5, 400))
guesses = jnp.roll(labels, 1)

def count(labels, guesses):
    return jax.lax.psum(metric.confusion_matrix(labels, guesses, 5), "data")

sharded = jax.shard_map(count, mesh=mesh, in_specs=spec("data"), out_specs=spec())
whole = metric.confusion_matrix(labels, guesses, 5)
np.testing.assert_array_equal(jax.jit(sharded)(labels, guesses), whole)
assert whole.sum() == 400
"""


@pytest.mark.slow
def test_counts_add_up_over_a_mesh_of_four_devices():
    """Under `shard_map` with a psum: the counts of one device."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", SHARDED], env={**os.environ, **flags}, check=True)
