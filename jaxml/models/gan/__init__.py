# SPDX-License-Identifier: Apache-2.0
"""Generative adversarial networks: `gan.critic_loss`, `gan.generator_loss`, `gan.sample`, ..."""

from jaxml.models.gan.model import GAN, generate, sample, score
from jaxml.models.gan.network import Bounded, convolutional, mlp
from jaxml.models.gan.objective import Augment, Labels, critic_loss, generator_loss

__all__ = [
    "GAN",
    "Augment",
    "Bounded",
    "Labels",
    "convolutional",
    "critic_loss",
    "generate",
    "generator_loss",
    "mlp",
    "sample",
    "score",
]
