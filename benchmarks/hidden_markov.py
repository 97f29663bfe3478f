# SPDX-License-Identifier: Apache-2.0
"""What do the likelihood, the posteriors and the likeliest path of a hidden Markov model cost?

Command: python -m benchmarks --only hidden_markov

One sequence of symbols, from the symbols on. hmmlearn does the same in double precision through its
own interface; dynamax, where it is installed, from the same arrays as we do.
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.probability import hmm
from jaxml.types import Array

N_SYMBOLS = 16


class Model(NamedTuple):
    """Logarithms of π, of P and of the chances of symbols."""

    initial: Array
    transition: Array
    emission: Array


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all lengths and numbers of states."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Chains with random laws."""
    sizes = [(3, 20)] if tiny else [(k, t) for k in (5, 32) for t in (1000, 10_000, 100_000)]
    for k, length in sizes:
        key, *keys = jax.random.split(jax.random.key(k), 4)
        shapes = (k,), (k, k), (k, N_SYMBOLS)
        logits = (jax.random.normal(a, s) for a, s in zip(keys, shapes, strict=True))
        model = Model(*(jax.nn.log_softmax(a) for a in logits))
        x = jax.random.randint(key, (length,), 0, N_SYMBOLS)
        for question, forms in (
            ("likelihood", {"ours": likelihood, **_dynamax("likelihood")}),
            ("posterior", {"ours": posterior, **_dynamax("posterior")}),
            ("path", {"ours": path, **_dynamax("path")}),
        ):
            yield Case(
                f"{question}, {k} states, {length} symbols",
                {name: Work(function, (model, x)) for name, function in forms.items()},
                (
                    "hidden Markov",
                    {
                        "question": question,
                        "n_states": k,
                        "n_symbols": N_SYMBOLS,
                        "length": length,
                    },
                ),
            )


def seen(model: Model, x: Array) -> Array:
    """log p(x_t | k)."""
    return model.emission.T[x]


def likelihood(model: Model, x: Array) -> Array:
    """log p(x)."""
    return hmm.log_evidence(model.initial, model.transition, seen(model, x))


def posterior(model: Model, x: Array) -> Array:
    """p(z_t | x)."""
    return hmm.posterior(model.initial, model.transition, seen(model, x)).smoothed


def path(model: Model, x: Array) -> Array:
    """The likeliest states."""
    return hmm.viterbi(model.initial, model.transition, seen(model, x)).states


def _dynamax(question: str) -> Mapping[str, Any]:
    if not find_spec("dynamax"):
        return {}
    from dynamax import hidden_markov_model as theirs

    def run(model: Model, x: Array) -> Array:
        laws = jnp.exp(model.initial), jnp.exp(model.transition), seen(model, x)
        if question == "likelihood":
            return theirs.hmm_filter(*laws).marginal_loglik
        if question == "posterior":
            return theirs.hmm_smoother(*laws).smoothed_probs
        return theirs.hmm_posterior_mode(*laws)

    return {"dynamax": run}
