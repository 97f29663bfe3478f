# SPDX-License-Identifier: Apache-2.0
"""What every diffusion model over images of whole numbers shows and measures."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.experiment import Experiment, Sheet
from experiments.images import Images, show
from experiments.pixel_scale import Scale
from jaxml.data import in_memory, mapped
from jaxml.diffusion import Points, dpm_plus_plus, grid, points
from jaxml.metrics import Evidence, Kind, Unit, convert, from_values
from jaxml.models import diffusion
from jaxml.training import average, chain, descend, guard
from jaxml.types import Array, Key, Loss, Model

ROWS = 50  # test examples per call: the unit of progress and of interruption
N_STEPS = 60  # evaluations of the network for a sample, and one more


def experiment(
    model: Model,
    images: Images,
    scale: Scale,
    loss: Loss,
    options: Any,
    extra: Callable[[Model, Key], list[Evidence]] = lambda model, key: [],
) -> Experiment:
    """The experiment of a diffusion model over images, whose average counts.

    Args:
      model: freshly initialized.
      images: the data, whole numbers.
      scale: on which the model sees them.
      loss: of the model.
      options: a `Config` with seed, steps, batch_size, learning_rate, weight_decay, decay.
      extra: more evidence.
    """
    key = jax.random.key(options.seed)
    order_key, noise_key = (jax.random.fold_in(key, i) for i in (1, 2))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, options.learning_rate, min(200, options.steps // 2), options.steps
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=options.weight_decay)
    )
    order = in_memory(images.train, options.batch_size, order_key)
    return Experiment(
        model=model,
        rule=guard(chain(learn=descend(loss, optimizer), average=average(options.decay))),
        batches=mapped(order, partial(real, scale), noise_key),
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, images.valid, scale),
        validate=partial(validate, images.valid[:500], scale),
        n_test=len(images.test),
        evaluate=partial(evaluate, images, scale, extra),
        sample=partial(sample, scale),
        diagnose=partial(diagnose, scale),
    )


def real(scale: Scale, x: Array, key: Key) -> Array:
    """Whole numbers under uniform noise, as the model sees them."""
    return scale.forward(x, key)[0]


def path(model: Model, n_steps: int = N_STEPS) -> Points:
    """Levels equally far apart in t, down to the least noise and then clean, in n + 1 steps."""
    if model.schedule.zero_terminal:  # straight lines, which end clean by themselves
        return points(model.schedule, grid.uniform(n_steps + 1, last=0.0), clean=False)
    return points(model.schedule, grid.uniform(n_steps, last=0.0))


@partial(jax.jit, static_argnums=(2, 3))
def _sample(model: Model, key: Key, n: int, scale: Scale) -> Array:
    x = diffusion.sample(model, key, n, solver=dpm_plus_plus(2), path=path(model))
    return scale.back(x)


def draws(model: Model, key: Key, n: int, scale: Scale) -> np.ndarray:
    """n draws of whole numbers, a hundred at a time."""
    keys = jax.random.split(key, -(-n // 100))
    return np.concatenate([np.asarray(_sample(model, k, 100, scale)) for k in keys])[:n]


def sample(scale: Scale, model: Model, key: Key, n: int) -> Sheet:
    """Draws by a solver of second order."""
    drawn = show(draws(model, key, n, scale), scale.levels)
    caption = f"samples, each by {N_STEPS + 1} evaluations of the network"
    return Sheet(drawn, math.ceil(math.sqrt(n)), caption)


def draw(held_out: np.ndarray, scale: Scale, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, the way of ten of them, and beside them held-out images."""
    return {
        "samples": sample(scale, model, key, 100),
        "way": Sheet(_way(scale, model, jax.random.fold_in(key, 1)), 10, "noisy images at rising "
                     "noise, and below each what the network takes it for"),
        "data": Sheet(show(held_out[:100], scale.levels), 10, "held-out images"),
    }  # fmt: skip


def _way(scale: Scale, model: Model, key: Key) -> np.ndarray:
    """One sample at ten levels of noise, and its denoised form."""
    draw_key, real_key, noise_key = (jax.random.fold_in(key, i) for i in range(3))
    image = real(scale, jnp.asarray(draws(model, draw_key, 1, scale)), real_key)[0]
    times = jnp.linspace(0.1, 1.0, 10)
    several = jnp.broadcast_to(image, (10, *image.shape))
    noisy, guess = _looked(model, several, times, noise_key)
    shown = np.asarray(scale.seen(jnp.concatenate([noisy, guess])))
    return shown[..., 0] if shown.shape[-1] == 1 else shown


@jax.jit
def _looked(model: Model, x: Array, t: Array, key: Key) -> tuple[Array, Array]:
    noise = model.schedule.at(t)
    scaled = noise.over(x)
    noisy = scaled.alpha * x + scaled.sigma * jax.random.normal(key, x.shape)
    guess = diffusion.denoise(model, noisy, Points(t, noise)).x0
    return noisy / jnp.sqrt(jnp.square(scaled.alpha) + jnp.square(scaled.sigma)), guess


@partial(jax.jit, static_argnums=3)
def _bound(model: Model, x: Array, key: Key, scale: Scale) -> Array:
    noise_key, bound_key = jax.random.split(key)
    y, log_mass = scale.forward(x, noise_key)
    return diffusion.continuous_terms(model, y, bound_key, n_times=8).elbo() + log_mass


def _bits(nats: np.ndarray, shape: tuple[int, ...]) -> float:
    return float(-np.mean(nats) / (math.prod(shape) * math.log(2)))


def validate(held_out: np.ndarray, scale: Scale, model: Model, key: Key) -> Mapping[str, float]:
    """On held-out images the continuous bound in bits a dimension, or the error of a velocity.

    Straight lines end without signal and begin without noise: their bound is infinite.
    """
    straight = model.schedule.zero_terminal
    measure = _squared_error if straight else _bound
    values = [
        np.asarray(measure(model, jnp.asarray(_filled(part)), jax.random.fold_in(key, i), scale))
        for i, part in enumerate(np.split(held_out, range(ROWS, len(held_out), ROWS)))
    ]
    each = np.concatenate(values)[: len(held_out)]
    if straight:
        return {"squared_error": float(each.mean())}
    return {"bits_per_dim": _bits(each, held_out.shape[1:])}


@partial(jax.jit, static_argnums=3)
def _squared_error(model: Model, x: Array, key: Key, scale: Scale) -> Array:
    noise_key, loss_key = jax.random.split(key)
    found = diffusion.loss(model, real(scale, x, noise_key), loss_key)[0]
    return jnp.broadcast_to(found, len(x))


def _filled(part: np.ndarray) -> np.ndarray:
    """ROWS examples, the last of them again and again, so that all parts are one program."""
    return np.concatenate([part, np.repeat(part[-1:], ROWS - len(part), axis=0)])


@partial(jax.jit, static_argnums=3)
def _log_weight(model: Model, x: Array, key: Key, scale: Scale) -> Array:
    noise_key, trace_key = jax.random.split(key)
    y, log_mass = scale.forward(x, noise_key)
    signs = jax.random.rademacher(trace_key, y.shape, y.dtype)
    return diffusion.log_prob(model, y, signs, start=0.0) + log_mass


def evaluate(
    images: Images,
    scale: Scale,
    extra: Callable[[Model, Key], list[Evidence]],
    model: Model,
    key: Key,
    progress: Callable[[int], None],
) -> list[Evidence]:
    """The test split's mass by the model as a flow, and by its bound if it has one."""
    flows, bounds = [], []
    for start in range(0, len(images.test), ROWS):
        part = images.test[start : start + ROWS]
        full = jnp.asarray(_filled(part))
        flow_key, bound_key = jax.random.split(jax.random.fold_in(key, start // ROWS))
        flows.append(np.asarray(_log_weight(model, full, flow_key, scale))[: len(part)])
        if not model.schedule.zero_terminal:
            bounds.append(np.asarray(_bound(model, full, bound_key, scale))[: len(part)])
        progress(start + len(part))
    dim = int(np.prod(images.test.shape[1:]))
    about = {"kind": Kind.LOWER_BOUND, "family": "diffusion", "dim": dim}
    estimators = {
        "probability flow, one Hutchinson draw, tolerance 1e-5": (flows, 1),
        "continuous variational bound, 8 times": (bounds, 8),
    }
    found = []
    for estimator, (values, n) in estimators.items():
        if not values:
            continue
        told = {"estimator": f"uniform dequantization, {estimator}"}
        nats = from_values(
            np.concatenate(values), samples=n, protocol=images.protocol | told, **about
        )
        found += [convert(nats, Unit.BITS_PER_DIM), nats]
    return found + extra(model, jax.random.fold_in(key, len(images.test)))


def diagnose(scale: Scale, model: Model, key: Key) -> Mapping[str, str]:
    """Whether samples have left the range of the data, and how much of it they fill."""
    x = draws(model, key, 200, scale).astype(np.float64)
    spread = x.std(0).mean() / scale.levels
    return {
        "samples": f"mean intensity {x.mean() / (scale.levels - 1):.3f}, "
        f"mean standard deviation of a pixel {spread:.3f}"
    }
