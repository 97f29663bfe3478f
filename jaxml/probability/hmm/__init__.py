# SPDX-License-Identifier: Apache-2.0
"""Hidden Markov models: filtering, smoothing, the likeliest path, draws; for any emissions."""

from jaxml.probability.hmm.backward import Posterior, expected_transitions, pairwise, posterior
from jaxml.probability.hmm.forward import Filtered, filtered, log_evidence
from jaxml.probability.hmm.parallel import parallel_posterior
from jaxml.probability.hmm.path import sample_posterior
from jaxml.probability.hmm.viterbi import Path, viterbi

__all__ = [
    "Filtered",
    "Path",
    "Posterior",
    "expected_transitions",
    "filtered",
    "log_evidence",
    "pairwise",
    "parallel_posterior",
    "posterior",
    "sample_posterior",
    "viterbi",
]
