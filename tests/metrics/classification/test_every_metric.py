# SPDX-License-Identifier: Apache-2.0
"""Every classification metric is the same under every transformation.

A metric is added by one line in `metrics`; the last test finds those that were forgotten.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.metrics import classification as c

N, N_CLASSES, N_SETS = 40, 3, 4


def draw(dtype):
    """Labels, logits and predictions of several sets of examples; some scores are equal."""
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, N_CLASSES, (N_SETS, N))  # −1 is padding
    logits = np.round(rng.normal(size=(N_SETS, N, N_CLASSES)), 1)
    return jnp.asarray(labels), jnp.asarray(logits, dtype)


def metrics(labels, logits):
    """All of them, of one set."""
    probabilities = jax.nn.softmax(logits, axis=-1)
    scores, guesses = probabilities[:, 0], jnp.argmax(logits, axis=-1)
    is_first, right = labels == 0, labels == guesses
    matrix = c.confusion_matrix(labels, guesses, N_CLASSES)
    counts = c.one_against_rest(matrix)
    several = c.outcomes(logits > 0, logits > 0.5)
    ranks = c.score_counts(is_first, scores, jnp.linspace(0, 1, 12).astype(scores.dtype))
    bins = c.reliability(right, jnp.max(probabilities, axis=-1), n_bins=5)
    loss = c.log_loss(jnp.maximum(labels, 0), probabilities)
    found = c.top_k(labels, logits, k=2)
    return {
        "confusion_matrix": matrix,
        "one_against_rest": counts,
        "outcomes": several,
        "merge": c.merge(counts, several),
        "accuracy": c.accuracy(matrix),
        "precision": c.precision(counts),
        "recall": c.recall(counts),
        "specificity": c.specificity(counts),
        "f_score": c.f_score(counts, beta=2.0),
        "micro": c.micro(counts),
        "macro": c.macro(c.recall(counts)),
        "weighted": c.weighted(c.recall(counts), counts),
        "score_counts": ranks,
        "roc_auc_of_counts": c.roc_auc_of_counts(ranks),
        "average_precision_of_counts": c.average_precision_of_counts(ranks),
        "roc_auc": c.roc_auc(is_first, scores),
        "average_precision": c.average_precision(is_first, scores),
        "reliability": bins,
        "calibration_error": c.calibration_error(bins),
        "log_loss": loss,
        "mean": c.mean(loss, where=labels >= 0),
        "value_of": c.value_of(c.mean(loss, where=labels >= 0)),
        "top_k": found,
    }


@pytest.mark.parametrize(
    ("dtype", "tol"), [pytest.param("f8", 1e-12, marks=pytest.mark.slow), ("f4", 1e-5)]
)
def test_metrics_are_the_same_under_every_transformation(dtype, tol, x64):
    """Set by set without jit: so under jit, vmap, and scan with checkpoint. Counts are equal."""
    sets = draw(dtype)
    plain = [metrics(labels, logits) for labels, logits in zip(*sets, strict=True)]
    truth = jax.tree.map(lambda *leaves: np.stack(leaves), *plain)

    def scanned(sets):
        return jax.lax.scan(lambda n, one: (n, jax.checkpoint(metrics)(*one)), 0, sets)[1]

    for transformed in (jax.vmap(metrics), lambda *sets: scanned(sets)):
        for name, got in jax.jit(transformed)(*sets).items():
            for ours, other in zip(jax.tree.leaves(got), jax.tree.leaves(truth[name]), strict=True):
                assert ours.dtype == other.dtype, name
                if np.issubdtype(other.dtype, np.floating):
                    assert np.isfinite(other).all(), name
                    np.testing.assert_allclose(ours, other, rtol=tol, atol=tol, err_msg=name)
                else:
                    np.testing.assert_array_equal(ours, other, err_msg=name)


def test_every_public_metric_is_here():
    """What the module offers, but for the types of its results."""
    offered = {name for name in c.__all__ if inspect.isfunction(getattr(c, name))}
    sets = [one[0] for one in draw("f4")]
    assert offered == set(jax.eval_shape(metrics, *sets))
