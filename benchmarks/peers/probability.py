# SPDX-License-Identifier: Apache-2.0
"""Hidden Markov models of hmmlearn and mixtures of scikit-learn, where these are installed."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.peers.variant import Work


def hidden_markov(
    *, variant: str, question: str, n_states: int, n_symbols: int, length: int
) -> Callable[[], Any]:
    """One sequence of symbols: its log-likelihood, the posteriors of its states, or its path."""
    from hmmlearn.hmm import CategoricalHMM

    rng = np.random.default_rng(0)
    model = CategoricalHMM(n_states, implementation=variant)
    model.startprob_ = rng.dirichlet(np.ones(n_states))
    model.transmat_ = rng.dirichlet(np.ones(n_states), n_states)
    model.emissionprob_ = rng.dirichlet(np.ones(n_symbols), n_states)
    model.n_features = n_symbols
    x = rng.integers(0, n_symbols, (length, 1))
    call = {
        "likelihood": model.score,
        "posterior": model.predict_proba,
        "path": lambda x: model.decode(x)[1],
    }[question]
    return lambda: call(x)


def mixture(*, variant: str, kind: str, n: int, d: int, k: int, n_steps: int) -> Callable[[], Any]:
    """Steps of expectation maximization from given parameters, in single precision."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    del variant
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(np.float32)
    precision = np.ones((k, d)) if kind == "diag" else np.tile(np.eye(d), (k, 1, 1))
    model = GaussianMixture(
        k,
        covariance_type=kind,
        max_iter=n_steps,
        tol=0.0,
        weights_init=np.full(k, 1 / k),
        means_init=x[:k],
        precisions_init=precision,
    )

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is told to stop early
            return model.fit(x)

    return run


CASES = {
    "hidden Markov": Work(
        hidden_markov, ("scaling", "log") if find_spec("hmmlearn") else (), library="hmmlearn"
    ),
    "mixture": Work(mixture, ("fit",) if find_spec("sklearn") else (), library="scikit-learn"),
}
