# SPDX-License-Identifier: Apache-2.0
"""A restricted Boltzmann machine on binarized 8 x 8 digits, its log-likelihood between two bounds.

Command: python -m experiments train rbm_digits
Hardware: 2 CPU cores, about 2 minutes.
Expected: see FACTS below and experiments/README.md.

Pixels of at least half the intensity are 1, the others 0. Persistent contrastive divergence; log Z
by annealed importance sampling from below, which bounds the log-likelihood from above, and
backwards from above. With at most 20 hidden units it is exact besides, and the backward chains
begin with exact draws; with more they begin where long chains of the model ended, and theirs is an
estimate.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, Positive
from jaxml.data import digits, in_memory, sha256
from jaxml.metrics import Evidence, Kind
from jaxml.models import energy
from jaxml.models.energy import rbm, rbm_partition
from jaxml.probability.importance import LogMean
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Model

FACTS = Facts("energy", "digits, binarized", "-16.3 nats", 1)
TINY = {
    "steps": 40,
    "save_every": 20,
    "look_every": 40,
    "n_hidden": 8,
    "n_betas": 50,
    "n_chains": 20,
    "n_mix": 20,
    "buffer": 100,
}
D = 64


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of rbm_digits."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all chains."""
    steps: Count = 10_000
    """Gradient steps."""
    batch_size: Count = 100
    """Examples a step, and chains that walk."""
    learning_rate: Positive = 0.01
    """Of Adam at the start; it falls along a cosine to 0 at the last step."""
    n_hidden: Count = 100
    """Hidden bits; with at most 20 log Z is exact."""
    n_walk: Count = 5
    """Gibbs steps of a chain for one gradient step."""
    buffer: Count = 1000
    """Chains that live on."""
    weight_decay: Positive = 0.01
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_betas: Count = 5000
    """Steps of annealing."""
    n_chains: Count = 500
    """Annealed chains each way."""
    n_mix: Count = 5000
    """Gibbs steps of a chain before it counts as a draw."""
    save_every: Count = 1000
    """Steps between checkpoints."""
    look_every: Count = 2000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    train, valid, test = ((p["x"].reshape(-1, D) >= 0.5).astype(np.float32) for p in digits())
    means = (train.sum(0) + 1) / (len(train) + 2)
    base = jnp.asarray(np.log(means) - np.log1p(-means))
    model = rbm.RBM(D, config.n_hidden, visible=base, rngs=nnx.Rngs(config.seed))
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.adamw(rate, weight_decay=config.weight_decay)
    loss = partial(energy.contrastive_loss, alpha=0.0, energy=rbm.free_energy)

    def fresh(key: Key, n: int) -> Array:
        bits = jax.random.bernoulli(key, jax.nn.sigmoid(base)[None], (n, D))
        return bits.astype(jnp.float32)

    learn = energy.rule(
        descend(loss, optimizer),
        partial(rbm.walk, n_steps=config.n_walk),
        fresh,
        size=config.buffer,
        reinit=0.0,
    )
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    protocol = {"data": "digits, 1 from half intensity", "split": "test", "sha256": sha256(test)}
    look = partial(bounds, base, config.n_betas // 10 + 2, 50, config.n_mix // 10 + 1)
    judge = partial(bounds, base, config.n_betas + 1, config.n_chains, config.n_mix)
    return Experiment(
        model=model,
        rule=guard(chain(learn=learn, average=average(config.decay))),
        batches=in_memory(train, config.batch_size, key),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, config.n_mix, valid),
        validate=partial(validate, look, jnp.asarray(valid)),
        n_test=len(test),
        evaluate=partial(evaluate, judge, config, jnp.asarray(test), protocol),
        sample=partial(sample, config.n_mix),
        diagnose=diagnose,
    )


@partial(jax.jit, static_argnums=(1, 2, 3))
def bounds(
    base: Array, n_betas: int, n_chains: int, n_mix: int, model: Model, key: Key
) -> tuple[LogMean, LogMean]:
    """log Z from below and from above."""
    below, begin, above = jax.random.split(key, 3)
    betas = jnp.linspace(0, 1, n_betas)
    if model.hidden.shape[0] <= rbm_partition.MOST:
        v = rbm_partition.exact_sample(model, begin, n_chains)
    else:
        v = rbm.sample(model, begin, n_chains, n_steps=n_mix)
    return (
        rbm_partition.lower_bound(model, below, n_chains, betas, base=base),
        rbm_partition.upper_bound(model, v, above, betas, base=base),
    )


_free_energy = jax.jit(rbm.free_energy)
_draws = jax.jit(rbm.sample, static_argnums=(2,), static_argnames=("n_steps",))


def sample(n_mix: int, model: Model, key: Key, n: int) -> Sheet:
    """Ends of chains that began with independent bits."""
    x = np.asarray(_draws(model, key, n, n_steps=n_mix)).reshape(n, 8, 8)
    return Sheet(x, math.ceil(math.sqrt(n)), f"ends of chains of {n_mix} steps")


def draw(n_mix: int, held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, the weights of hidden bits, and data."""
    W = np.asarray(model.kernel[...]).T.reshape(-1, 8, 8)[:100]
    top = np.abs(W).max()
    return {
        "samples": sample(n_mix, model, key, 100),
        "weights": Sheet(0.5 + 0.5 * W / top, 10, "weights of hidden bits, 0 is grey"),
        "data": Sheet(held_out[:100].reshape(-1, 8, 8), 10, "held-out images"),
    }


def validate(look: Callable, held_out: Array, model: Model, key: Key) -> Mapping[str, float]:
    """Both bounds of the mean log-likelihood, from short annealing."""
    lower, upper = look(model, key)
    mean = -float(_free_energy(model, held_out).mean())
    return {
        "log p, from above": mean - float(lower.value),
        "log p, from below": mean - float(upper.value),
    }


def evaluate(
    judge: Callable,
    config: Config,
    test: Array,
    protocol: Mapping[str, str],
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """log p of test images by both bounds of log Z, the bounds themselves, and exactly if small."""
    energies = _free_energy(model, test)
    lower, upper = judge(model, key)
    exact = config.n_hidden <= rbm_partition.MOST
    above = Kind.UPPER_BOUND if exact else Kind.ESTIMATE
    begins = "exact draws" if exact else f"ends of chains of {config.n_mix} steps"
    ways = {
        "annealing": (lower, Kind.LOWER_BOUND, {}),
        "annealing backwards": (upper, above, {"chains begin with": begins}),
    }
    found = []
    for name, (bound, kind, more) in ways.items():
        told = {"estimator": name, "betas": config.n_betas, "chains": config.n_chains, **more}
        found.append(
            energy.log_likelihood_evidence(
                energies, bound, kind, dim=D, protocol={**protocol, **told}, family="RBM"
            )
        )
        found.append(
            energy.log_partition_evidence(
                bound,
                kind,
                n_chains=config.n_chains,
                protocol={**told, "estimator": f"log Z by {name}"},
                family="RBM",
            )
        )
    if exact:
        log_z = float(jax.jit(rbm_partition.log_partition)(model))
        told = {**protocol, "estimator": "enumeration"}
        found.append(
            energy.log_likelihood_evidence(
                energies, log_z, Kind.EXACT, dim=D, protocol=told, family="RBM"
            )
        )
    progress(len(test))
    return found


def diagnose(model: Model, key: Key) -> Mapping[str, str]:
    """How busy hidden bits are, and how large weights."""
    v = _draws(model, key, 500, n_steps=200)
    on = np.asarray(jax.nn.sigmoid(rbm.hidden_logits(rbm.weights(model), v))).mean(0)
    W = np.asarray(model.kernel[...])
    return {
        "hidden bits": f"on in {on.mean():.0%} of draws; {(on < 0.01).sum()} never, "
        f"{(on > 0.99).sum()} always",
        "weights": f"root mean square {np.sqrt((W**2).mean()):.3f}, largest {np.abs(W).max():.2f}",
    }
