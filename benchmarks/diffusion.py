# SPDX-License-Identifier: Apache-2.0
"""What do training and sampling of a U-Net cost, beside denoising-diffusion-pytorch?

Command: python -m benchmarks --only diffusion

Both networks have 32 channels on 32 x 32 pixels, 64 and 128 below, v as their output and attention
at the lowest size; ours has 2.86 million parameters, that of the peer 2.61 million. They are no
equal networks: the peer's has four residual blocks a level where ours has three, and linear
attention at the levels above the lowest; ours adds a block up that reads the first convolution.
"""

from collections.abc import Iterator
from typing import Any

import jax
from flax import nnx

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.families import steps
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.diffusion import V, cosine, grid, points
from jaxml.models import diffusion
from jaxml.nn import UNet


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of training and of sampling."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """A step of Adam on a batch of images, and images by 50 steps of DDIM."""
    side, width, multipliers = (4, 4, (1, 2)) if tiny else (32, 32, (1, 2, 4))
    batch, draws, n_steps = (2, 1, 2) if tiny else (32, 8, 50)
    network = UNet(
        (side, side, 3),
        width,
        multipliers=multipliers,
        n_blocks=1,
        attention=(len(multipliers) - 1,),
        rngs=nnx.Rngs(0),
    )
    model = diffusion.Diffusion(network, cosine(), parameterization=V, shape=(side, side, 3))
    data = jax.random.normal(jax.random.key(0), (2 * batch, side, side, 3))
    sizes = {"side": side, "width": width, "multipliers": multipliers}
    name = f"U-Net, {side} x {side} x 3, width {width}, multipliers {multipliers}"
    yield Case(
        f"step of {name}, batch {batch}",
        steps(diffusion.loss, model, data, batch, name="ours", n_steps=2),
        ("step of U-Net", {**sizes, "batch": batch}),
    )
    path = points(model.schedule, grid.uniform(n_steps - 1))
    yield Case(
        f"{n_steps} steps of DDIM, {name}, draws {draws}",
        {
            "ours": Work(
                lambda m, key: diffusion.sample(m, key, draws, path=path),
                (model, jax.random.key(1)),
            )
        },
        ("sampling of U-Net", {**sizes, "batch": draws, "n_steps": n_steps}),
    )
