# SPDX-License-Identifier: Apache-2.0
"""What every GAN over images of whole numbers shows and measures."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import judge as judges
from experiments.experiment import Experiment, Sheet
from experiments.images import Images, show
from experiments.judge import N_CLASSES, Judge
from jaxml.data import in_memory, mapped
from jaxml.metrics import Evidence, Kind, Unit, checkerboard, frechet_distance, memorized, moments
from jaxml.metrics import nearest as nearest_example
from jaxml.metrics.nearest import Nearest
from jaxml.models import gan
from jaxml.training import average, chain, descend, guard, only, take_turns
from jaxml.types import Array, Batch, Key, Loss, Model

N_LOOK = 500  # draws of a look
ROWS = 250  # images that are compared with all training images at once
N_HELD_OUT = 2000  # test images that say how near two images come by themselves


class View(NamedTuple):
    """How images are seen.

    Attributes:
      images: the data, whole numbers.
      levels: L, how many intensities.
      judge: makes the classifier, once it is needed.
      labels: of the training images, for a conditional model.
    """

    images: Images
    levels: int
    judge: Callable[[], Judge]
    labels: np.ndarray | None = None


def experiment(
    model: Model,
    view: View,
    critic_loss: Loss,
    generator_loss: Loss,
    options: Any,
    *,
    n_critic: int = 1,
    b2: float = 0.99,
) -> Experiment:
    """The experiment of a GAN over images in [−1, 1], whose average generator counts.

    Args:
      model: freshly initialized; with labels in the view its context is a one-hot class.
      view: the data and their judge.
      critic_loss: of the critic.
      generator_loss: of the generator.
      options: a `Config` with seed, steps, batch_size, learning_rate, decay and n_draws.
      n_critic: steps of the critic for one of the generator, each on a fresh batch.
      b2: Adam's decay of squares, of both players; that of slopes is 0.
    """
    key = jax.random.key(options.seed)
    order_key, noise_key = (jax.random.fold_in(key, i) for i in (1, 2))

    def optimizer(n_updates: int) -> optax.GradientTransformation:
        rate = optax.cosine_decay_schedule(options.learning_rate, n_updates)
        return optax.adam(rate, b1=0.0, b2=b2)

    turns = take_turns(
        n_critic,
        critic=descend(critic_loss, optimizer(n_critic * options.steps), wrt=only("critic")),
        generator=descend(generator_loss, optimizer(options.steps), wrt=only("generator")),
    )
    train = view.images.train
    data = train if view.labels is None else {"x": train, "y": view.labels}
    order = in_memory(data, n_critic * options.batch_size, order_key)
    return Experiment(
        model=model,
        rule=guard(chain(play=turns, average=average(options.decay))),
        batches=mapped(order, partial(real, view.levels), noise_key),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, view),
        validate=partial(validate, view),
        n_test=options.n_draws + len(view.images.test[:N_HELD_OUT]),
        evaluate=partial(evaluate, view, options.n_draws),
        sample=partial(sample, view),
        diagnose=partial(diagnose, view),
    )


def real(levels: int, batch: Batch, key: Key) -> Batch:
    """2 x/(L − 1) − 1: whole numbers in [−1, 1]; labels become one-hot."""
    del key
    if isinstance(batch, Mapping):
        return {"x": scaled(levels, batch["x"]), "y": jax.nn.one_hot(batch["y"], N_CLASSES)}
    return scaled(levels, batch)


def scaled(levels: int, x: Array) -> Array:
    """2 x/(L − 1) − 1."""
    return 2 * x.astype(jnp.float32) / (levels - 1) - 1


def whole(levels: int, x: np.ndarray) -> np.ndarray:
    """The whole numbers nearest to x in [−1, 1]."""
    return np.rint((x + 1) / 2 * (levels - 1)).astype(np.uint8)


def wanted(n: int) -> np.ndarray:
    """The classes that n draws of a conditional model are asked for: all of them, in turn."""
    return np.arange(n) % N_CLASSES


@partial(jax.jit, static_argnums=2)
def _images(model: Model, key: Key, n: int, context: Array | None) -> Array:
    return gan.sample(model, key, n, context=context)


def draws(view: View, model: Model, key: Key, n: int) -> np.ndarray:
    """n draws of whole numbers, a hundred at a time."""
    keys = jax.random.split(key, -(-n // 100))
    context = None if view.labels is None else jax.nn.one_hot(wanted(100), N_CLASSES)
    drawn = [np.asarray(_images(model, k, 100, context)) for k in keys]
    return whole(view.levels, np.concatenate(drawn)[:n])


def sample(view: View, model: Model, key: Key, n: int) -> Sheet:
    """Draws of the generator, with labels a class a column."""
    drawn = show(draws(view, model, key, n), view.levels)
    columns = math.ceil(math.sqrt(n)) if view.labels is None else N_CLASSES
    return Sheet(drawn, columns, "draws of the average generator")


def draw(view: View, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, a walk between latent vectors, and held-out images."""
    corners = jax.random.normal(jax.random.fold_in(key, 1), (11, 1, model.n_latent))
    share = jnp.linspace(0.0, 0.9, 10)[None, :, None] * 0.5 * jnp.pi
    way = jnp.cos(share) * corners[:-1] + jnp.sin(share) * corners[1:]
    row = np.repeat(np.arange(N_CLASSES), 10)
    context = None if view.labels is None else jax.nn.one_hot(row, N_CLASSES)
    walk = np.asarray(jax.jit(gan.generate)(model, way.reshape(100, -1), context))
    return {
        "samples": sample(view, model, key, 100),
        "walk": Sheet(
            show(whole(view.levels, walk), view.levels),
            10,
            "along great circles from latent vector to vector",
        ),
        "data": Sheet(show(view.images.valid[:100], view.levels), 10, "held-out images"),
    }


def validate(view: View, model: Model, key: Key) -> Mapping[str, float]:
    """How far from held-out images, how wide, and what is repeated with every second pixel."""
    x, held_out = draws(view, model, key, N_LOOK), view.images.valid
    judge = view.judge()
    seen = (moments(judges.features(judge, a / (view.levels - 1))) for a in (x, held_out))
    spread = np.sqrt(x.var(0, np.float64).sum() / held_out.var(0, np.float64).sum())
    pattern = float(checkerboard(jnp.asarray(x, jnp.float32)))
    return {"distance": frechet_distance(*seen), "spread": float(spread), "checkerboard": pattern}


def evaluate(
    view: View, n: int, model: Model, key: Key, progress: Callable[[int], None]
) -> list[Evidence]:
    """Distance and classes of draws, and how many of them are copies of training images."""
    drawn = draws(view, model, key, n)
    judge, x = view.judge(), drawn / (view.levels - 1)
    found = [
        judges.distance(judge, x, "GAN", "the average generator"),
        judges.memory(judge),
        *judges.coverage(judge, x, "GAN"),
    ]
    if view.labels is not None:
        found.append(judges.agreement(judge, x, wanted(n), "GAN"))
    near = nearest_training(view, drawn, progress)
    held_out = nearest_training(view, view.images.test[:N_HELD_OUT], lambda k: progress(n + k))
    count, limit = memorized(near, held_out)
    copies = Evidence(
        value=float(count),
        unit=Unit.NUMBER,
        kind=Kind.ESTIMATE,
        n=n,
        quantity="memorized draws",
        higher_is_better=False,
        family="GAN",
        protocol=view.images.protocol | {"mean absolute difference below": round(float(limit), 5)},
    )
    return [*found, copies]


def nearest_training(view: View, x: np.ndarray, progress: Callable[[int], None]) -> Nearest:
    """The nearest training image of every image of whole numbers."""
    references = jnp.asarray(view.images.train / (view.levels - 1), jnp.float32)
    run, found = jax.jit(nearest_example), []
    for i in range(0, len(x), ROWS):
        found.append(run(jnp.asarray(x[i : i + ROWS] / (view.levels - 1), jnp.float32), references))
        progress(min(i + ROWS, len(x)))
    return Nearest(*(jnp.concatenate(parts) for parts in zip(*found, strict=True)))


def diagnose(view: View, model: Model, key: Key) -> Mapping[str, str]:
    """How bright draws are, and how different."""
    x = draws(view, model, key, 200).astype(np.float64) / (view.levels - 1)
    return {
        "samples": f"mean intensity {x.mean():.3f}, "
        f"mean standard deviation of a pixel {x.std(0).mean():.3f}"
    }
