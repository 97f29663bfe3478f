# SPDX-License-Identifier: Apache-2.0
"""What every GAN over images of whole numbers shows and measures."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.experiment import Experiment, Sheet
from experiments.image_flow_outcome import Images, show
from jaxml.data import in_memory, mapped
from jaxml.metrics import Evidence, Kind, Unit, checkerboard, memorized, nearest
from jaxml.models import gan
from jaxml.training import average, chain, descend, guard, only, take_turns
from jaxml.types import Array, Key, Loss, Model


def experiment(
    model: Model,
    images: Images,
    levels: int,
    critic_loss: Loss,
    generator_loss: Loss,
    options: Any,
    extra: Callable[[np.ndarray], list[Evidence]],
    *,
    n_critic: int = 1,
) -> Experiment:
    """The experiment of a GAN over images in [−1, 1], whose average generator counts.

    Args:
      model: freshly initialized.
      images: the data, whole numbers.
      levels: L, how many intensities.
      critic_loss: of the critic.
      generator_loss: of the generator.
      options: a `Config` with seed, steps, batch_size, learning_rate, decay and n_draws.
      extra: evidence from draws of whole numbers.
      n_critic: steps of the critic for one of the generator, each on a fresh batch.
    """
    key = jax.random.key(options.seed)
    order_key, noise_key = (jax.random.fold_in(key, i) for i in (1, 2))

    def optimizer() -> optax.GradientTransformation:
        rate = optax.cosine_decay_schedule(options.learning_rate, options.steps)
        return optax.adam(rate, b1=0.0, b2=0.99)

    turns = take_turns(
        n_critic,
        critic=descend(critic_loss, optimizer(), wrt=only("critic")),
        generator=descend(generator_loss, optimizer(), wrt=only("generator")),
    )
    order = in_memory(images.train, n_critic * options.batch_size, order_key)
    return Experiment(
        model=model,
        rule=guard(chain(play=turns, average=average(options.decay))),
        batches=mapped(order, partial(real, levels), noise_key),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, images.valid, levels),
        validate=partial(validate, images.valid, levels),
        n_test=1,
        evaluate=partial(evaluate, images, levels, options.n_draws, extra),
        sample=partial(sample, levels),
        diagnose=partial(diagnose, levels),
    )


def real(levels: int, x: Array, key: Key) -> Array:
    """2 x/(L − 1) − 1: whole numbers in [−1, 1]."""
    del key
    return 2 * x.astype(jnp.float32) / (levels - 1) - 1


def whole(levels: int, x: np.ndarray) -> np.ndarray:
    """The whole numbers nearest to x in [−1, 1]."""
    return np.rint((x + 1) / 2 * (levels - 1)).astype(np.uint8)


@partial(jax.jit, static_argnums=2)
def _images(model: Model, key: Key, n: int) -> Array:
    return gan.sample(model, key, n)


def draws(model: Model, key: Key, n: int, levels: int) -> np.ndarray:
    """n draws of whole numbers, a hundred at a time."""
    keys = jax.random.split(key, -(-n // 100))
    return whole(levels, np.concatenate([np.asarray(_images(model, k, 100)) for k in keys])[:n])


def sample(levels: int, model: Model, key: Key, n: int) -> Sheet:
    """Draws of the generator."""
    drawn = show(draws(model, key, n, levels), levels)
    return Sheet(drawn, math.ceil(math.sqrt(n)), "draws of the average generator")


def draw(held_out: np.ndarray, levels: int, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, a walk between latent vectors, and held-out images."""
    corners = jax.random.normal(jax.random.fold_in(key, 1), (11, 1, model.n_latent))
    share = jnp.linspace(0.0, 0.9, 10)[None, :, None] * 0.5 * jnp.pi
    way = jnp.cos(share) * corners[:-1] + jnp.sin(share) * corners[1:]
    walk = np.asarray(jax.jit(gan.generate)(model, way.reshape(100, -1)))
    return {
        "samples": sample(levels, model, key, 100),
        "walk": Sheet(
            show(whole(levels, walk), levels),
            10,
            "along great circles from latent vector to vector",
        ),
        "data": Sheet(show(held_out[:100], levels), 10, "held-out images"),
    }


def validate(held_out: np.ndarray, levels: int, model: Model, key: Key) -> Mapping[str, float]:
    """How far draws spread, and what is repeated with every second pixel."""
    x = draws(model, key, 500, levels).astype(np.float32)
    spread = np.sqrt(x.var(0).sum() / held_out.astype(np.float32).var(0).sum())
    return {"spread": float(spread), "checkerboard": float(checkerboard(jnp.asarray(x)))}


def evaluate(
    images: Images,
    levels: int,
    n: int,
    extra: Callable[[np.ndarray], list[Evidence]],
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """Evidence from draws, and how many of them are copies of training images."""
    drawn = draws(model, key, n, levels)
    found = extra(drawn)
    train, *others = (
        jnp.asarray(x / (levels - 1), jnp.float32) for x in (images.train, drawn, images.test)
    )
    near, held_out = (nearest(x, train) for x in others)
    count, limit = memorized(near, held_out)
    progress(1)
    copies = Evidence(
        value=float(count),
        unit=Unit.NUMBER,
        kind=Kind.ESTIMATE,
        n=n,
        quantity="memorized draws",
        higher_is_better=False,
        family="GAN",
        protocol=images.protocol | {"mean absolute difference below": round(float(limit), 5)},
    )
    return [*found, copies]


def diagnose(levels: int, model: Model, key: Key) -> Mapping[str, str]:
    """How bright draws are, and how different."""
    x = draws(model, key, 200, levels).astype(np.float64) / (levels - 1)
    return {
        "samples": f"mean intensity {x.mean():.3f}, "
        f"mean standard deviation of a pixel {x.std(0).mean():.3f}"
    }
