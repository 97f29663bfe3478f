# SPDX-License-Identifier: Apache-2.0
"""A classifier of 8 x 8 digits whose logits are an energy too: accuracy, and draws of every class.

Command: python -m experiments train jem_digits
Hardware: 2 CPU cores, about 10 minutes.
Expected: see FACTS below and experiments/README.md.

log p(x, y) = f(x)[y] − log Z (Grathwohl et al. 2020, arXiv:1912.03263): cross entropy for p(y | x)
and persistent contrastive divergence for p(x). With `--weight 0` it is the same classifier without
an energy.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments import judge
from experiments.digits_images import digits_images
from experiments.energy_images import D, blurred, fresh, scaled, shown
from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Fraction, Natural, NonNegative, Positive
from jaxml.data import digits, in_memory, mapped
from jaxml.losses.classification import cross_entropy
from jaxml.metrics import Evidence, Kind, Unit, from_values, instability
from jaxml.metrics.classification import calibration_error, reliability
from jaxml.models import energy
from jaxml.models.energy import joint
from jaxml.nn import MLP
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Batch, Key, Model, State

FACTS = Facts("energy", "digits, 17 levels", "to be measured", 10)
TINY = {
    "steps": 10,
    "save_every": 5,
    "look_every": 10,
    "width": 16,
    "batch_size": 16,
    "n_walk": 4,
    "n_draw": 8,
    "buffer": 64,
    "n_draws": 100,
}
CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of jem_digits."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all chains."""
    steps: Count = 4000
    """Gradient steps."""
    batch_size: Count = 64
    """Examples a step, and chains that walk."""
    learning_rate: Positive = 5e-4
    """Adam's rate at the start; it falls along a cosine to a tenth at the last step."""
    width: Count = 256
    """Features of the three hidden layers."""
    weight: NonNegative = 1.0
    """Of the energy beside the cross entropy."""
    n_walk: Count = 40
    """Langevin steps of a chain for one gradient step."""
    step_size: Positive = 1.0
    """Of those steps."""
    noise: NonNegative = 0.01
    """Standard deviation of a step's noise."""
    alpha: NonNegative = 0.01
    """Weight of the squares of energies."""
    blur: NonNegative = 0.03
    """Standard deviation of the noise on data."""
    buffer: Count = 8192
    """Chains that live on."""
    reinit: Fraction = 0.05
    """The share of chains that begin anew from noise."""
    decay: Decay = 0.99
    """Of the average of the weights that is evaluated."""
    n_draw: Count = 100
    """Steps of a chain of one class, from noise; after many it has found the class's mode."""
    n_draws: Count = 1000
    """Chains of the buffer that are judged."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 1000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    images, labels = digits_images(), [part["y"] for part in digits()]
    parts = zip((images.train, images.valid, images.test), labels, strict=True)
    train, valid, test = ({"x": scaled(x), "y": y} for x, y in parts)
    key = jax.random.key(config.seed)
    order_key, noise_key = (jax.random.fold_in(key, i) for i in (1, 2))
    model = joint.Joint(MLP(D, (config.width,) * 3, CLASSES, rngs=nnx.Rngs(config.seed)))
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps, alpha=0.1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    walk = partial(energy.langevin, step_size=config.step_size, noise=config.noise, clip=None)
    learn = energy.rule(
        descend(partial(joint.loss, alpha=config.alpha, weight=config.weight), optimizer),
        partial(walk, n_steps=config.n_walk, energy=joint.energy),
        fresh,
        size=config.buffer,
        reinit=config.reinit,
    )

    def moved(batch: Batch, key: Key) -> Batch:
        return {**batch, "x": blurred(config.blur, batch["x"], key)}

    of_class = partial(drawn, partial(walk, n_steps=config.n_draw))
    return Experiment(
        model=model,
        rule=guard(chain(learn=learn, average=average(config.decay))),
        batches=mapped(in_memory(train, config.batch_size, order_key), moved, noise_key),
        learned=learned,
        draw=partial(draw, of_class),
        validate=partial(validate, valid),
        n_test=len(test["y"]),
        evaluate=partial(evaluate, config.n_draws, images.protocol, test),
        sample=partial(sample, of_class),
        diagnose=partial(diagnose, valid),
    )


def learned(model: Model, state: State) -> Model:
    """The average of the weights, and the chains."""
    del model
    inner = state["rule"]
    return {"model": inner["average"]["model"], "chains": inner["learn"]["chains"]}


_logits = jax.jit(joint.logits)
_energy = jax.jit(joint.energy)


@partial(jax.jit, static_argnums=0)
def _walked(walk: Callable, model: Model, x: Array, y: Array, key: Key) -> Array:
    return walk(model, x, key, energy=lambda model, x: joint.joint_energy(model, x, y))


def drawn(walk: Callable, found: Model, key: Key, y: Array) -> Array:
    """A chain of p(x | y) from noise for every y."""
    begin_key, key = jax.random.split(key)
    return _walked(walk, found["model"], fresh(begin_key, len(y)), y, key)


def sample(of_class: Callable, found: Model, key: Key, n: int) -> Sheet:
    """Chains from noise, the classes in turn."""
    x = of_class(found, key, jnp.arange(n) % CLASSES)
    return Sheet(shown(np.asarray(x)), CLASSES, "chains of p(x | y) from noise, a column a class")


def draw(of_class: Callable, found: Model, key: Key) -> Mapping[str, Sheet]:
    """Chains of every class, and chains of the buffer."""
    buffer = shown(np.asarray(found["chains"][:100]))
    return {
        "classes": sample(of_class, found, key, 100),
        "chains": Sheet(buffer, 10, "chains of the buffer"),
    }


def validate(held_out: Batch, found: Model, key: Key) -> Mapping[str, float]:
    """Cross entropy, accuracy, and energies of data and chains."""
    del key
    x, y = jnp.asarray(held_out["x"]), jnp.asarray(held_out["y"])
    logits = _logits(found["model"], x)
    fake = _energy(found["model"], found["chains"][:200])
    return {
        "cross entropy": float(cross_entropy(logits, y).mean()),
        "accuracy": float((jnp.argmax(logits, axis=-1) == y).mean()),
        "gap of energies": float(fake.mean() - _energy(found["model"], x).mean()),
    }


def evaluate(
    n: int,
    protocol: Mapping[str, str | int | float | bool],
    test: Batch,
    found: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """Accuracy and calibration on test images; Fréchet distance and classes of the chains."""
    del key
    logits, y = _logits(found["model"], jnp.asarray(test["x"])), jnp.asarray(test["y"])
    hit = jnp.argmax(logits, axis=-1) == y
    table = reliability(hit, jax.nn.softmax(logits, axis=-1).max(axis=-1))
    right = np.asarray(hit, float)
    told = {name: value for name, value in protocol.items() if name != "levels"}
    accuracy = from_values(
        right,
        kind=Kind.EXACT,
        unit=Unit.NUMBER,
        higher_is_better=True,
        quantity="accuracy",
        family="energy",
        protocol=told,
    )
    calibration = Evidence(
        value=float(calibration_error(table)),
        unit=Unit.NUMBER,
        kind=Kind.ESTIMATE,
        n=len(right),
        quantity="calibration error",
        higher_is_better=False,
        family="energy",
        protocol=told,
    )
    x = shown(np.asarray(found["chains"][:n]))[..., None]
    progress(len(right))
    return [
        accuracy,
        calibration,
        judge.distance(judge.of_digits(), x, "energy", "chains of the buffer"),
        *judge.coverage(judge.of_digits(), x, "energy"),
    ]


def diagnose(held_out: Batch, found: Model, key: Key) -> Mapping[str, str]:
    """Energies of data and of chains, and what is wrong with them."""
    del key
    model, chains = found["model"], np.asarray(found["chains"])
    real = float(_energy(model, jnp.asarray(held_out["x"])).mean())
    fake = float(_energy(model, jnp.asarray(chains[:1000])).mean())
    spread = float(np.sqrt(chains.var(0).sum() / held_out["x"].var(0).sum()))
    told = {"energies": f"{real:.3g} nats at data, {fake:.3g} at chains; spread {spread:.2f}"}
    for finding in instability.diagnose([real], [fake], [spread]):
        told[finding.name] = "; ".join([finding.evidence, *finding.remedies])
    return told
