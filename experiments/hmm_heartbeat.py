# SPDX-License-Identifier: Apache-2.0
"""A hidden Markov model on the binary heartbeat, whose entropy it can reach: exact, in bits.

Command: python -m experiments train hmm_heartbeat
Hardware: 2 CPU cores, a minute.
Expected: see FACTS below and experiments/README.md.

Sequences of 20 bits with a one in every fifth place, from a uniform phase: −log2 5 = −2.3219 bits.
Five states that follow each other in a circle say exactly this, and expectation maximization finds
them from random numbers. What is left is the error of five shares counted in a finite sample: of n
sequences it costs 2/n nats on average. `diffusion_heartbeat` bounds the same number from below.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.diffusion_heartbeat import LENGTH, PATTERN, PERIOD
from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Natural, Positive
from experiments.restarts import likeliest
from jaxml.data import in_memory
from jaxml.metrics import Evidence, Kind, Unit, convert
from jaxml.models import hmm
from jaxml.training import ensemble, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("hidden Markov", "binary heartbeat, 20 bits", "-2.32219 bits, exact", 1)
TINY = {"steps": 20, "save_every": 10, "look_every": 20, "n_train": 100, "n_starts": 2}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of hmm_heartbeat."""

    seed: Natural = 0
    """Names the training data, the starts and all draws."""
    steps: Count = 200
    """Of expectation maximization, each over all of the data."""
    n_states: Count = 8
    """Hidden states; five are enough."""
    n_starts: Count = 16
    """Random models that learn side by side; the likeliest is kept."""
    n_train: Count = 5000
    """Sequences to learn from."""
    spread: Positive = 0.3
    """Standard deviation of the logits at the start: too alike, and the states never part."""
    pseudocount: Positive = 1e-3
    """Added to what is counted, so that no logarithm becomes infinite."""
    save_every: Count = 50
    """Steps between checkpoints."""
    look_every: Count = 50
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir
    key = jax.random.key(config.seed)
    model_key, data_key, order_key = (jax.random.fold_in(key, i) for i in range(3))
    x = PATTERN.sample(data_key, config.n_train).astype(jnp.int32)
    make = partial(random_model, config)
    return Experiment(
        model=jax.vmap(make)(jax.random.split(model_key, config.n_starts)),
        rule=guard(ensemble(hmm.baum_welch(pseudocount=config.pseudocount), config.n_starts)),
        batches=in_memory(x, config.n_train, order_key),
        learned=partial(likeliest, hmm.log_prob, x),
        draw=draw,
        validate=validate,
        n_test=PERIOD,
        evaluate=evaluate,
        sample=sample,
        diagnose=partial(diagnose, x),
    )


def random_model(config: Config, key: Key) -> hmm.HiddenMarkov:
    """Every law a softmax of normal draws."""
    k, keys = config.n_states, jax.random.split(key, 3)
    initial, transition, emission = (
        jax.nn.log_softmax(config.spread * jax.random.normal(each, shape))
        for each, shape in zip(keys, ((k,), (k, k), (k, 2)), strict=True)
    )
    shown = hmm.Categorical(emission, pseudocount=config.pseudocount)
    return hmm.HiddenMarkov(initial, transition, shown)


def beats() -> Array:
    """The five sequences, `(5, 20)`."""
    place = np.arange(LENGTH)[None] % PERIOD == np.arange(PERIOD)[:, None]
    return jnp.asarray(place, jnp.int32)


_log_prob = jax.jit(hmm.log_prob)
_sample = jax.jit(partial(hmm.sample, length=LENGTH), static_argnums=2)
_viterbi = jax.jit(hmm.viterbi)


def sample(model: Model, key: Key, n: int) -> Sheet:
    """Draws from the model, a row each."""
    return _picture(np.asarray(_sample(model, key, n)), "each row a sequence drawn from the model")


def draw(model: Model, key: Key) -> Mapping[str, Sheet]:
    """Sequences, and what the model is made of."""
    emission, transition = model.emission.log_prob[...], model.log_transition[...]
    beat, steps = np.exp(np.asarray(emission))[:, 1], np.exp(np.asarray(transition))
    order = _round(steps, int(beat.argmax()))
    table = np.concatenate([steps[np.ix_(order, order)], beat[order][:, None]], axis=1)
    caption = "a row a state: chances of the next states, and in the last column of a one"
    return {"samples": sample(model, key, 100), "law": _picture(table, caption, side=24)}


def _round(steps: np.ndarray, first: int) -> list[int]:
    """States in the order in which the likeliest successor leads through them; others behind."""
    order = [first]
    while (after := int(steps[order[-1]].argmax())) not in order:
        order.append(after)
    return order + [k for k in range(len(steps)) if k not in order]


def _picture(rows: np.ndarray, caption: str, side: int = 6) -> Sheet:
    """Numbers in [0, 1] as one image, a square of pixels each."""
    return Sheet(rows.repeat(side, axis=0).repeat(side, axis=1)[None], 1, caption)


def validate(model: Model, key: Key) -> Mapping[str, float]:
    """E log2 p, over all sequences that there are."""
    del key
    return {"log2_p": float(_log_prob(model, beats()).mean() / np.log(2))}


def evaluate(model: Model, key: Key, progress: Callable[[int], None]) -> list[Evidence]:
    """E log p under the data's law, in bits and in nats: a sum over five sequences."""
    del key
    nats = Evidence(
        value=float(np.asarray(_log_prob(model, beats()), np.float64).mean()),
        unit=Unit.NATS,
        kind=Kind.EXACT,
        standard_error=0.0,
        n=PERIOD,
        dim=LENGTH,
        family="hidden Markov",
        protocol={
            "data": f"binary heartbeat, length {LENGTH}, period {PERIOD}",
            "estimator": "sum over all paths and all sequences",
        },
    )
    progress(PERIOD)
    return [convert(nats, Unit.BITS), nats]


def diagnose(x: Array, model: Model, key: Key) -> Mapping[str, str]:
    """The truth, what the finite sample costs, how many draws are heartbeats, and the states."""
    counts = np.bincount(np.asarray(x).argmax(1), minlength=PERIOD)[:PERIOD]
    with np.errstate(divide="ignore"):
        counted = np.log2(counts / counts.sum()).mean()
    draws = np.asarray(_sample(model, key, 2000)).astype(np.float32)
    share = np.isfinite(np.asarray(PATTERN.log_prob(jnp.asarray(draws)))).mean()
    used = np.unique(np.asarray(_viterbi(model, beats()).states))
    return {
        "truth": f"E log2 p = {-PATTERN.entropy / np.log(2):.6f} bits, the entropy of the data",
        "finite sample": f"{counted:.6f} bits with the shares counted in the training data",
        "heartbeats": f"{100 * share:.1f} % of 2000 draws",
        "states": f"{len(used)} of {len(model.log_initial[...])} on the likeliest paths",
    }
