# SPDX-License-Identifier: Apache-2.0
"""What generator and critic learn from.

A GAN defines no density. Its contract is two losses for two rules:

    take_turns(n_critic,
               critic=descend(critic_loss, ..., wrt=only("critic")),
               generator=descend(generator_loss, ..., wrt=only("generator")))
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxml.losses import adversarial
from jaxml.losses.adversarial import Game
from jaxml.losses.critic_penalty import Penalty
from jaxml.models.condition import Context, unpack
from jaxml.models.gan.model import GAN, generate, score
from jaxml.nn import refresh
from jaxml.numerics import widen
from jaxml.types import Batch, Key, Metrics, Scalar

Augment = Callable[[Array, Key], Array]
"""`(x, key) -> x`, differentiable: what real and generated examples go through to the critic."""
Labels = Callable[[Array, Key], Array]
"""`(labels, key) -> labels`, made of 1 for real and 0 for generated examples."""


def critic_loss(
    model: GAN,
    batch: Batch,
    key: Key,
    *,
    game: Game = adversarial.relativistic(),  # noqa: B008
    penalty: Penalty | None = None,
    augment: Augment | None = None,
    labels: Labels | None = None,
) -> tuple[Scalar, Metrics]:
    """Mean cost of the critic: the game's, and the penalty's on its slopes.

    The metric `ahead` is the share of pairs whose real score is above the generated one, whatever
    scale scores have: 1/2 where the critic cannot tell them apart. `margin`, the difference of mean
    scores, estimates W_1 for a Wasserstein critic. Layers of the critic under spectral
    normalization make their step of the power iteration here.

    Args:
      model: the model; its generator is a constant here, if `wrt` says so.
      batch: x, or `{"x": x, "y": context}` for a conditional model.
      key: for latent vectors, augmentation, penalty and labels.
      game: see `jaxml.losses.adversarial`.
      penalty: see `jaxml.losses.critic_penalty`.
      augment: of both kinds of examples.
      labels: what 1 and 0 become, such as `partial(adversarial.flipped, rate=0.05)`; the critic
        then pays the plain game's cost of them, and `game` says only what the generator wants.
    """
    refresh(model.critic)
    real, context, fake, (label_key, penalty_key) = _examples(model, batch, key, augment)
    of = partial(score, model, context=context)
    on_real, on_fake = of(real), of(fake)
    if labels is None:
        cost = game.critic(on_real, on_fake)
    else:
        ones = jnp.ones_like(on_real)
        real_key, fake_key = jax.random.split(label_key)
        told = labels(ones, real_key), labels(jnp.zeros_like(ones), fake_key)
        cost = adversarial.labelled(on_real, on_fake, *told)
    metrics = {
        "real": jnp.mean(on_real),
        "fake": jnp.mean(on_fake),
        "margin": jnp.mean(on_real) - jnp.mean(on_fake),
        "ahead": jnp.mean(on_real > on_fake),
    }
    value = jnp.mean(cost)
    if penalty is not None:
        paid = jnp.mean(penalty(of, real, fake, penalty_key))
        value, metrics["penalty"] = value + paid, paid
    return value, metrics


def generator_loss(
    model: GAN,
    batch: Batch,
    key: Key,
    *,
    game: Game = adversarial.relativistic(),  # noqa: B008
    augment: Augment | None = None,
) -> tuple[Scalar, Metrics]:
    """Mean cost of the generator.

    The metric `spread` is the root of the total variance of generated examples over that of real
    ones: far below 1 where modes have collapsed.

    Args:
      model: the model; its critic is a constant here, if `wrt` says so.
      batch: x, or `{"x": x, "y": context}`; the relativistic games look at x.
      key: for latent vectors and augmentation.
      game: see `jaxml.losses.adversarial`.
      augment: of both kinds of examples.
    """
    real, context, fake, _ = _examples(model, batch, key, augment)
    of = partial(score, model, context=context)
    spread = jnp.sqrt(jnp.sum(fake.var(0)) / jnp.sum(real.var(0)))
    return jnp.mean(game.generator(of(real), of(fake))), {"spread": spread}


def _examples(
    model: GAN, batch: Batch, key: Key, augment: Augment | None
) -> tuple[Shaped[Array, "batch *event"], Context, Shaped[Array, "batch *event"], tuple[Key, ...]]:
    """Real examples, their context, as many generated ones, and two more keys."""
    real, context = unpack(batch)
    real = widen(real)
    z_key, real_key, fake_key, *more = jax.random.split(key, 5)
    fake = generate(model, jax.random.normal(z_key, (len(real), model.n_latent)), context)
    if augment is not None:
        real, fake = augment(real, real_key), augment(fake, fake_key)
    return real, context, fake, tuple(more)
