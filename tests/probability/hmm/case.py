# SPDX-License-Identifier: Apache-2.0
"""Two hundred random chains with forbidden steps, and sums over all of their paths in NumPy."""

import itertools
from typing import NamedTuple

import numpy as np


class Chains(NamedTuple):
    """A row a chain; log-probabilities with −inf for what is forbidden."""

    log_initial: np.ndarray
    log_transition: np.ndarray
    log_likelihood: np.ndarray


def chains(n=200, k=3, t=5, *, changing=False):
    """Random chains; a third of steps and emissions are forbidden, but for those of state 0."""
    rng = np.random.default_rng(0)

    def forbidden(logs, keep):
        logs = np.where(rng.random(logs.shape) < 1 / 3, -np.inf, logs)
        return np.where(keep, 0.1, logs)

    def normalized(logs):
        return logs - np.log(np.exp(logs).sum(-1, keepdims=True))

    steps = (n, t - 1, k, k) if changing else (n, k, k)
    initial, likelihood = rng.normal(size=(n, k)), 3 * rng.normal(size=(n, t, k))
    transition = rng.normal(size=steps)
    zero = np.arange(k) == 0
    return Chains(
        normalized(forbidden(initial, zero)),
        normalized(forbidden(transition, zero)),
        forbidden(likelihood, zero),
    )


def enumerated(given):
    """log p(x), all pairs of neighbours' probabilities, states' own, and the best path."""
    n, t, k = given.log_likelihood.shape
    paths = np.array(list(itertools.product(range(k), repeat=t)))
    logs = given.log_initial[:, paths[:, 0]]
    for i in range(t):
        logs = logs + given.log_likelihood[:, i, paths[:, i]]
    for i in range(t - 1):
        step = (
            given.log_transition if given.log_transition.ndim == 3 else given.log_transition[:, i]
        )
        logs = logs + step[:, paths[:, i], paths[:, i + 1]]
    weight = np.exp(logs)
    evidence = weight.sum(1)
    weight = weight / evidence[:, None]
    states, pairs = np.zeros((n, t, k)), np.zeros((n, t - 1, k, k))
    for row, path in zip(weight.T, paths, strict=True):
        for i in range(t):
            states[:, i, path[i]] += row
        for i in range(t - 1):
            pairs[:, i, path[i], path[i + 1]] += row
    return {
        "log_evidence": np.log(evidence),
        "smoothed": states,
        "pairwise": pairs,
        "path": paths[logs.argmax(1)],
        "log_prob": logs.max(1),
        "every": (paths, weight),
    }
