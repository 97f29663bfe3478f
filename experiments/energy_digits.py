# SPDX-License-Identifier: Apache-2.0
"""Ten energies on 8 x 8 digits learn together from chains that live on; does one of them diverge?

Command: python -m experiments train energy_digits
Hardware: 2 CPU cores, about 20 minutes.
Expected: see FACTS below and experiments/README.md.

Persistent contrastive divergence with a replay buffer, as Du and Mordatch (2019, arXiv:1903.08689)
have it: Langevin steps of 10 with clipped slopes, little noise, and a penalty on the magnitude of
energies. Such chains are much colder than the density (see `models.energy.langevin`); what is
learned is judged by them and has no likelihood. Ten seeds, since one run says little.
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
from jaxml.data import in_memory, mapped
from jaxml.metrics import Evidence, Kind, Unit, from_values, instability
from jaxml.models import energy
from jaxml.nn import MLP
from jaxml.training import average, chain, descend, ensemble, guard
from jaxml.types import Array, Key, Model, State

FACTS = Facts("energy", "digits, 17 levels", "to be measured", 20)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "width": 16,
    "batch_size": 16,
    "n_walk": 4,
    "n_draw": 4,
    "buffer": 64,
    "n_draws": 64,
}
SEEDS = 10


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of energy_digits."""

    seed: Natural = 0
    """Names the initializations, the order of the data and all chains."""
    steps: Count = 3000
    """Gradient steps."""
    batch_size: Count = 64
    """Examples a step, the same for all seeds, and chains of each that walk."""
    learning_rate: Positive = 3e-4
    """Adam's rate at the start; it falls along a cosine to a tenth at the last step."""
    width: Count = 128
    """Features of the three hidden layers."""
    n_walk: Count = 60
    """Langevin steps of a chain for one gradient step."""
    step_size: Positive = 10.0
    """Of those steps."""
    noise: NonNegative = 0.005
    """Standard deviation of a step's noise."""
    clip: Positive = 0.03
    """Bound of every number of a slope."""
    alpha: NonNegative = 0.1
    """Weight of the squares of energies."""
    blur: NonNegative = 0.03
    """Standard deviation of the noise on data."""
    buffer: Count = 8192
    """Chains that live on, of every seed."""
    reinit: Fraction = 0.05
    """The share of chains that begin anew from noise."""
    decay: Decay = 0.99
    """Of the average of the weights that is evaluated."""
    n_draw: Count = 60
    """Steps that chains of the buffer take before they are shown."""
    n_draws: Count = 1000
    """Chains of each seed that are judged."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    images = digits_images()
    key = jax.random.key(config.seed)
    model_key, order_key, noise_key = (jax.random.fold_in(key, i) for i in range(3))

    def make(key: Key) -> Model:
        return energy.EnergyModel(MLP(D, (config.width,) * 3, 1, rngs=nnx.Rngs(key)))

    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps, alpha=0.1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, b1=0.0))
    walk = partial(
        energy.langevin, step_size=config.step_size, noise=config.noise, clip=config.clip
    )
    learn = energy.rule(
        descend(partial(energy.contrastive_loss, alpha=config.alpha), optimizer),
        partial(walk, n_steps=config.n_walk),
        fresh,
        size=config.buffer,
        reinit=config.reinit,
    )
    order = in_memory(scaled(images.train), config.batch_size, order_key)
    draws = partial(drawn, partial(walk, n_steps=config.n_draw))
    n = min(config.n_draws, config.buffer)
    return Experiment(
        model=jax.vmap(make)(jax.random.split(model_key, SEEDS)),
        rule=guard(ensemble(chain(learn=learn, average=average(config.decay)), SEEDS)),
        batches=mapped(order, partial(blurred, config.blur), noise_key),
        learned=learned,
        draw=partial(draw, draws),
        validate=partial(validate, draws, scaled(images.valid), min(n, 200)),
        n_test=SEEDS,
        evaluate=partial(evaluate, draws, scaled(images.test), n, images.protocol),
        sample=None,
        diagnose=partial(diagnose, draws, scaled(images.valid), min(n, 200)),
    )


def learned(model: Model, state: State) -> Model:
    """The averages of the weights, and the chains: what these models draw is where those stand."""
    del model
    inner = state["rule"]
    return {"models": inner["average"]["model"], "chains": inner["learn"]["chains"]}


def drawn(walk: Callable, found: Model, key: Key, n: int) -> Array:
    """The first n chains of every seed after some more steps, `(seeds, n, 64)`."""
    return _walked(walk, found["models"], found["chains"][:, :n], key)


@partial(jax.jit, static_argnums=0)
def _walked(walk: Callable, models: Model, chains: Array, key: Key) -> Array:
    return jax.vmap(walk)(models, chains, jax.random.split(key, len(chains)))


@jax.jit
def _energies(models: Model, x: Array) -> Array:
    return jax.vmap(energy.energy)(models, x)


def draw(draws: Callable, found: Model, key: Key) -> Mapping[str, Sheet]:
    """Ten chains of every seed."""
    x = np.asarray(draws(found, key, 10))
    return {"samples": Sheet(shown(x), 10, "chains of the buffer, a row a seed")}


def judged(draws: Callable, held_out: np.ndarray, n: int, found: Model, key: Key) -> list[Array]:
    """Of every seed the mean energy of data, of chains, the spread of chains, numbers at bounds."""
    x = draws(found, key, n)
    data = jnp.broadcast_to(jnp.asarray(held_out)[None], (SEEDS, *held_out.shape))
    real, fake = (np.asarray(_energies(found["models"], a)).mean(1) for a in (data, x))
    x = np.asarray(x, np.float64)
    spread = np.sqrt(x.var(1).sum(1) / held_out.var(0).sum())
    return [real, fake, spread, (np.abs(x) >= 1).mean((1, 2))]


def validate(
    draws: Callable, held_out: np.ndarray, n: int, found: Model, key: Key
) -> Mapping[str, float]:
    """The worst seed's gap of energies, and the least spread of chains."""
    real, fake, spread, _ = judged(draws, held_out, n, found, key)
    return {
        "largest gap": float(np.abs(real - fake).max()),
        "largest energy": float(np.abs(np.stack([real, fake])).max()),
        "least spread": float(spread.min()),
    }


def faults(draws: Callable, held_out: np.ndarray, n: int, found: Model, key: Key) -> list[list]:
    """Of every seed."""
    each = zip(*judged(draws, held_out, n, found, key), strict=True)
    return [
        # Black corners of real digits are at the bound too: above nine tenths something is wrong.
        instability.diagnose([real], [fake], [spread], saturated=float(at > 0.9))
        for real, fake, spread, at in each
    ]


def evaluate(
    draws: Callable,
    test: np.ndarray,
    n: int,
    protocol: Mapping[str, str | int | float | bool],
    found: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The share of seeds without a finding, and the Fréchet distance of chains, over seeds."""
    sound_key, key = jax.random.split(key)
    sound = [not f for f in faults(draws, test, min(n, 200), found, sound_key)]
    x = np.asarray(draws(found, key, n))
    distances = []
    for done, chains in enumerate(x, 1):
        image = shown(chains)[..., None]
        distances.append(judge.distance(judge.of_digits(), image, "energy", "chains").value)
        progress(done)
    each = {
        "share of seeds that are sound": np.array(sound, float),
        "Fréchet distance": np.array(distances),
    }
    return [
        from_values(
            values,
            unit=Unit.NUMBER,
            kind=Kind.ESTIMATE,
            quantity=quantity,
            higher_is_better=quantity.startswith("share"),
            family="energy",
            protocol={**protocol, "draws a seed": n, "draws": "chains of the buffer"},
        )
        for quantity, values in each.items()
    ]


def diagnose(
    draws: Callable, held_out: np.ndarray, n: int, found: Model, key: Key
) -> Mapping[str, str]:
    """Energies and spreads of every seed, and what is wrong with it."""
    judge_key, key = jax.random.split(key)
    real, fake, spread, _ = judged(draws, held_out, n, found, judge_key)
    told = {
        "energy of data, of every seed": ", ".join(f"{e:.3g}" for e in real),
        "energy of chains": ", ".join(f"{e:.3g}" for e in fake),
        "spread of chains": ", ".join(f"{s:.2f}" for s in spread),
    }
    for i, found_here in enumerate(faults(draws, held_out, n, found, key)):
        for finding in found_here:
            told[f"seed {i}: {finding.name}"] = "; ".join([finding.evidence, *finding.remedies])
    return told
