# SPDX-License-Identifier: Apache-2.0
"""Ten GANs on eight or on 25 Gaussians of the plane: which modes does each of them find?

Command: python -m experiments train gan_ring [--data grid]
Hardware: 2 CPU cores, about 10 minutes.
Expected: see FACTS below and experiments/README.md.

The grid asks for `--data grid --waves --penalty 0.15 --last-penalty 0.001 --steps 16000`: its modes
are 40 times narrower than their distances. A penalty that is large at first makes the draws spread
over all of them, and lets them gather as it falls.

Ten seeds learn together in one program from the same data, since one run says little about a game:
the relativistic one with penalties at real and generated data (Huang et al. 2024,
arXiv:2501.05441). A mode counts as found with a tenth of its share; a draw is good within three
standard deviations of a mode.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.experiment import Experiment, Facts, Sheet
from experiments.options import Count, Decay, Natural, Positive
from jaxml.data import drawn, toy
from jaxml.losses.critic_penalty import Critic, zero_centred_penalty
from jaxml.metrics import (
    Coverage,
    Evidence,
    Kind,
    Unit,
    from_values,
    mode_coverage,
    pathology,
)
from jaxml.models import gan
from jaxml.nn import MLP, FourierInput
from jaxml.training import (
    average,
    chain,
    descend,
    ensemble,
    guard,
    only,
    scheduled,
    take_turns,
)
from jaxml.types import Array, Batch, Key, Metrics, Model, Rule, Scalar

FACTS = Facts("GAN", "8 or 25 Gaussians of the plane", "all modes in 9 of 10 seeds", 10)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "width": 8,
    "batch_size": 32,
    "n_test": 200,
    "pixels": 24,
}
SEEDS = 10
SCALE = 2.0  # data are divided by it
WAVES, FINER = (-2, -1, 0, 1, 2), (-1, 0, 1, 2, 3)  # of the generator's input and of the critic's


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of gan_ring."""

    seed: Natural = 0
    """Names the initializations and all draws."""
    data: Literal["ring", "grid"] = "ring"
    """Eight Gaussians on a circle, or 25 narrow ones on a square."""
    steps: Count = 10_000
    """Steps of the generator, each after one of the critic."""
    batch_size: Count = 256
    """Fresh examples a step, the same for all seeds."""
    learning_rate: Positive = 1e-3
    """Adam's rate of both players at the start; it falls along a cosine to 0 at the last step."""
    width: Count = 128
    """Features of the hidden layers of both networks."""
    n_layers: Count = 3
    """Hidden layers of both networks."""
    n_latent: Count = 2
    """Numbers of z."""
    penalty: Positive = 0.1
    """Weight of the penalties on the critic's slope at real and at generated data."""
    last_penalty: Positive | None = None
    """What the weight falls to, by one factor a step, over 70 % of the steps; None: it stays."""
    waves: bool = False
    """Both networks read sines and cosines of their input beside it: modes may then be narrow."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_test: Count = 10_000
    """Draws of each seed that are judged."""
    pixels: Count = 80
    """Of a picture's side."""
    save_every: Count = 1000
    """Steps between checkpoints."""
    look_every: Count = 2500
    """Steps between pictures and validations."""


def places(data: str) -> tuple[toy.Toy, Array, float]:
    """The density, the centers of its modes, and their standard deviation."""
    if data == "ring":
        turn, scale = np.arange(8) * np.pi / 4, 8**-0.5
        centers = 8**0.5 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return toy.gaussian_ring(scale=scale), jnp.asarray(centers, jnp.float32), scale
    ticks, scale = np.arange(-4.0, 5.0, 2.0), 0.05
    centers = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    return toy.gaussian_grid(scale=scale), jnp.asarray(centers, jnp.float32), scale


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir
    density, centers, scale = places(config.data)

    def make(key: Key) -> Model:
        widths, rngs = (config.width,) * config.n_layers, nnx.Rngs(key)
        if not config.waves:
            return gan.mlp(2, widths, config.n_latent, rngs=rngs)
        n = 1 + 2 * len(WAVES)
        generator = FourierInput(MLP(n * config.n_latent, widths, 2, rngs=rngs), WAVES)
        critic = FourierInput(MLP(n * 2, widths, 1, rngs=rngs), FINER)
        return gan.GAN(generator, critic, config.n_latent)

    def optimizer() -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps), b1=0.0)

    def critic(weight: float | Array) -> Rule:
        def penalty(critic: Critic, real: Array, fake: Array, key: Key) -> Array:
            del key
            cost = zero_centred_penalty(critic, real) + zero_centred_penalty(critic, fake)
            return weight * cost

        def loss(model: Model, batch: Batch, key: Key) -> tuple[Scalar, Metrics]:
            return gan.critic_loss(model, batch, key, penalty=penalty)

        return descend(loss, optimizer(), wrt=only("critic"))

    first, last = config.penalty, config.last_penalty or config.penalty
    n_falling = max(1, 7 * config.steps // 10)
    falling = optax.exponential_decay(first, n_falling, last / first, end_value=last)
    turns = take_turns(
        1,
        critic=scheduled(critic, falling),
        generator=descend(gan.generator_loss, optimizer(), wrt=only("generator")),
    )
    key = jax.random.key(config.seed)
    model_key, data_key = (jax.random.fold_in(key, i) for i in range(2))
    judged = partial(coverage, centers, scale)
    return Experiment(
        model=jax.vmap(make)(jax.random.split(model_key, SEEDS)),
        rule=guard(ensemble(chain(play=turns, average=average(config.decay)), SEEDS)),
        batches=drawn(
            lambda key: density.sample(key, config.batch_size) / SCALE,
            data_key,
            batch_size=config.batch_size,
            data=config.data,
        ),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, density, config.pixels, float(jnp.abs(centers).max()) + 1.0),
        validate=partial(validate, judged, min(config.n_test, 2500)),
        n_test=SEEDS,
        evaluate=partial(evaluate, judged, config.n_test, config.data),
        sample=None,
        diagnose=partial(diagnose, judged),
    )


@partial(jax.jit, static_argnums=2)
def samples(models: Model, key: Key, n: int) -> Array:
    """n draws of every seed, `(seeds, n, 2)`."""
    keys = jax.random.split(key, SEEDS)
    return SCALE * jax.vmap(lambda model, key: gan.sample(model, key, n))(models, keys)


def coverage(centers: Array, scale: float, models: Model, key: Key, n: int) -> Coverage:
    """Of every seed."""
    return jax.vmap(lambda x: mode_coverage(x, centers, scale))(samples(models, key, n))


def draw(
    density: toy.Toy, pixels: int, half: float, models: Model, key: Key
) -> Mapping[str, Sheet]:
    """Draws of every seed, and of the data."""
    n = 5 * pixels**2
    clouds = [*np.asarray(samples(models, key, n)), np.asarray(density.sample(key, n))]
    edges = np.linspace(-half, half, pixels + 1)
    counts = [np.histogram2d(x[:, 1], x[:, 0], bins=[edges, edges])[0][::-1] for x in clouds]
    top = np.quantile(counts[-1][counts[-1] > 0], 0.9)
    shown = np.clip(np.stack(counts) / top, 0, 1)
    return {"draws": Sheet(shown, 4, f"draws of {SEEDS} seeds, and last of the data")}


def validate(
    judged: Callable[[Model, Key, int], Coverage], n: int, models: Model, key: Key
) -> Mapping[str, float]:
    """Modes found and good draws, over the seeds."""
    found = judged(models, key, n)
    return {
        "least modes": float(found.found.sum(1).min()),
        "effective modes": float(found.effective.mean()),
        "good draws": float(found.quality.mean()),
    }


def evaluate(
    judged: Callable[[Model, Key, int], Coverage],
    n: int,
    data: str,
    models: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """Seeds with all modes, modes a seed, and the share of good draws, with their errors."""
    found = judged(models, key, n)
    modes = np.asarray(found.found).sum(1)
    whole = modes == found.found.shape[1]
    progress(SEEDS)
    each = {
        "share of seeds with all modes": whole.astype(float),
        f"modes found of {found.found.shape[1]}": modes.astype(float),
        "good draws": np.asarray(found.quality, float),
    }
    return [
        from_values(
            values,
            unit=Unit.NUMBER,
            kind=Kind.ESTIMATE,
            quantity=quantity,
            family="GAN",
            protocol={"data": data, "draws a seed": n, "radius": 3.0},
        )
        for quantity, values in each.items()
    ]


def diagnose(
    judged: Callable[[Model, Key, int], Coverage], models: Model, key: Key
) -> Mapping[str, str]:
    """Modes and good draws of every seed, and seeds that have collapsed."""
    found = judged(models, key, 5000)
    n_modes = found.found.shape[1]
    modes, good = np.asarray(found.found).sum(1), np.asarray(found.quality)
    told = {
        "modes of each seed": ", ".join(map(str, modes)),
        "good draws of each seed": ", ".join(f"{share:.1%}" for share in good),
    }
    for i, effective in enumerate(np.asarray(found.effective)):
        for finding in pathology.diagnose(covered=float(effective) / n_modes):
            told[f"seed {i}: {finding.name}"] = "; ".join(finding.remedies)
    return told
