# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between an energy and its chains, told from their metrics, and what helps."""

import numpy as np
from numpy.typing import ArrayLike

from jaxml.metrics.pathology import Finding

DRIFT = (
    "a penalty on the magnitude of energies (losses.contrastive.magnitude), or a larger α",
    "a smaller learning rate, or gradients clipped by their norm (optimizers.clip_by_norm)",
    "a network of bounded slope (nn.spectral)",
)
OUTRUN = (
    "a smaller learning rate: the energy has moved on before its chains could follow",
    "more steps of the walk, or shorter ones (models.energy.langevin)",
    "a penalty on the magnitude of energies (losses.contrastive.magnitude)",
)
STRANDED = (
    "more or longer steps of the walk, and less clipping (models.energy.langevin)",
    "chains that live on in place of fresh ones (models.energy.rule with a small reinit)",
    "a smoother energy: a smaller learning rate, data under noise",
)
COLLAPSE = (
    "a larger buffer, and more chains that begin anew (models.energy.rule)",
    "more noise in the walk (models.energy.langevin)",
    "a loss that needs no chains (models.energy.denoising_loss, models.energy.sliced_loss)",
)
SATURATION = (
    "shorter steps of the walk (models.energy.langevin)",
    "an energy with a base, which grows far away (models.energy.EnergyModel)",
    "a penalty on the magnitude of energies (losses.contrastive.magnitude)",
)


def diagnose(
    real: ArrayLike,
    fake: ArrayLike,
    spread: ArrayLike | None = None,
    *,
    saturated: float | None = None,
    window: int = 100,
    largest: float = 50.0,
    gap: float = 10.0,
    collapsed: float = 0.5,
) -> list[Finding]:
    """What the last steps of a run look like.

    The loss itself says nothing: E(x) − E(x̃) is near 0 for a perfect model and for a dead one. What
    is looked at is how large energies are, on which side of the data those of chains lie, and how
    different chains are from each other. The defaults suit energies regularized with α = 0.1, which
    are of order 1 nat.

    Args:
      real: a number a step, the mean energy of data; `models.energy.contrastive_loss` reports it.
      fake: that of chains.
      spread: the spread of chains over that of data, from there too.
      saturated: the share of numbers of the chains that lie on the bounds, if there are such.
      window: steps at the end over which means are taken.
      largest: nats beyond which energies have drifted off.
      gap: nats by which the two may differ.
      collapsed: the spread below which chains have collapsed; the share of saturated numbers beyond
        which they lean on the bounds.

    Raises:
      ValueError: for histories without a step or of unlike lengths, or a window below 1.
    """
    histories = [np.asarray(h, float) for h in (real, fake)]
    histories += [] if spread is None else [np.asarray(spread, float)]
    if window < 1 or any(h.ndim != 1 or len(h) != len(histories[0]) or not len(h)
                         for h in histories):  # fmt: skip
        raise ValueError("real, fake, spread, window: expected a number a step, alike in length")
    late = [float(np.mean(h[-window:])) for h in histories]
    on_data, on_chains = late[:2]
    found = []
    if not all(np.isfinite(h).all() for h in histories):
        step = int(np.argmax(~np.isfinite(np.sum(histories, axis=0))))
        return [Finding("divergence", f"an energy is no number at step {step}", DRIFT)]
    if max(abs(on_data), abs(on_chains)) > largest:
        told = f"energies of {on_data:.3g} nats at data and {on_chains:.3g} at chains"
        found.append(Finding("drifting energies", told, DRIFT))
    if on_data - on_chains > gap:
        told = f"chains lie {on_data - on_chains:.3g} nats below the data"
        found.append(Finding("chains outrun", told, OUTRUN))
    if on_chains - on_data > gap:
        told = f"chains lie {on_chains - on_data:.3g} nats above the data"
        found.append(Finding("chains stranded", told, STRANDED))
    if spread is not None and late[2] < collapsed:
        told = f"chains spread {late[2]:.1%} as far as data"
        found.append(Finding("chains collapsed", told, COLLAPSE))
    if saturated is not None and saturated > collapsed:
        told = f"{saturated:.1%} of the numbers of chains lie on the bounds"
        found.append(Finding("chains at the bounds", told, SATURATION))
    return found
