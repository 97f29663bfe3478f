# SPDX-License-Identifier: Apache-2.0
"""Classification: counts that add up over batches and devices, and the scores made of them."""

from jaxml.metrics.classification.calibration import Reliability, calibration_error, reliability
from jaxml.metrics.classification.confusion import (
    Outcomes,
    confusion_matrix,
    merge,
    one_against_rest,
    outcomes,
)
from jaxml.metrics.classification.mean import Mean, log_loss, mean, top_k, value_of
from jaxml.metrics.classification.ranking import (
    ScoreCounts,
    average_precision,
    average_precision_of_counts,
    roc_auc,
    roc_auc_of_counts,
    score_counts,
)
from jaxml.metrics.classification.score import (
    accuracy,
    f_score,
    macro,
    micro,
    precision,
    recall,
    specificity,
    weighted,
)

__all__ = [
    "Mean",
    "Outcomes",
    "Reliability",
    "ScoreCounts",
    "accuracy",
    "average_precision",
    "average_precision_of_counts",
    "calibration_error",
    "confusion_matrix",
    "f_score",
    "log_loss",
    "macro",
    "mean",
    "merge",
    "micro",
    "one_against_rest",
    "outcomes",
    "precision",
    "recall",
    "reliability",
    "roc_auc",
    "roc_auc_of_counts",
    "score_counts",
    "specificity",
    "top_k",
    "value_of",
    "weighted",
]
