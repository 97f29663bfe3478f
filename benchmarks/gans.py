# SPDX-License-Identifier: Apache-2.0
"""What does a round of a GAN cost, critic and generator together?

Command: python -m benchmarks --only gans

The networks of both are two strided convolutions and two linear maps, and their mirror, without
normalization. A round of a DCGAN is one step of the critic and one of the generator on the
non-saturating game; of a WGAN-GP five steps of the critic, each with fresh data and a penalty that
is differentiated twice, and one of the generator.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import optax
from flax import nnx

from benchmarks import plain
from benchmarks.case import Case, Effort, rows
from benchmarks.families import updates
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.losses import adversarial
from jaxml.losses.critic_penalty import Penalty, interpolated
from jaxml.models import gan
from jaxml.training import descend, only, take_turns
from jaxml.types import Rule

N_CRITIC = 5


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of both."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """A round of Adam's steps on 28 x 28 images."""
    n, width, n_latent, channels = (2, 4, 2, (2, 2)) if tiny else (64, 256, 64, (32, 64))
    sizes = {"n": n, "width": width, "n_latent": n_latent, "channels": channels}
    ours = gan.convolutional((28, 28, 1), channels, width, n_latent, rngs=nnx.Rngs(0))
    models = {"ours": ours, "flax": plain.adversaries(channels, width, n_latent)}
    for name, n_critic, game, penalty in (
        ("DCGAN", 1, adversarial.non_saturating(), None),
        ("WGAN-GP", N_CRITIC, adversarial.wasserstein(), interpolated()),
    ):
        batch = n * n_critic
        data = jax.random.uniform(jax.random.key(0), (2 * batch, 28, 28, 1), minval=-1.0)
        rule = rounds(n_critic, game, penalty)
        forms = {}
        for form, model in models.items():
            forms |= updates(rule, model, data, batch, name=form, n_steps=4)
        title = f"{name} round, {n_critic} + 1 steps, batch {n}, channels {channels}"
        yield Case(title, forms, (name, {**sizes, "n_critic": n_critic}))


def rounds(n_critic: int, game: adversarial.Game, penalty: Penalty | None) -> Rule:
    """Both players with Adam."""
    optimizer = optax.adam(2e-4, b1=0.5)
    critic = partial(gan.critic_loss, game=game, penalty=penalty)
    generator = partial(gan.generator_loss, game=game)
    return take_turns(
        n_critic,
        critic=descend(critic, optimizer, wrt=only("critic")),
        generator=descend(generator, optimizer, wrt=only("generator")),
    )
