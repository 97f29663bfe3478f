# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between a generator and a critic, told from their metrics, and what helps."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Finding(NamedTuple):
    """A named pathology.

    Attributes:
      name: what it is.
      evidence: the numbers that say so.
      remedies: what usually helps, each with the function that does it.
    """

    name: str
    evidence: str
    remedies: tuple[str, ...]


CRITIC_DOMINANCE = (
    "a smaller learning rate of the critic, or fewer of its steps (take_turns)",
    "a critic with fewer filters, or with dropout",
    "noise on labels, flips, or one-sided smoothing (losses.adversarial.noisy, flipped, one_sided)",
    "a penalty on the critic's slope (losses.critic_penalty.zero_centred, interpolated)",
    "a generator's loss whose slope is not lost (losses.adversarial.non_saturating)",
)
GENERATOR_DOMINANCE = (
    "more steps of the critic for one of the generator (take_turns)",
    "a larger learning rate of the critic, or a critic with more filters",
    "less noise on labels and a smaller penalty, if there are such",
)
MODE_COLLAPSE = (
    "a critic that learns at all, and more of its steps (take_turns)",
    "smaller learning rates of both players, larger batches",
    "a relativistic game with penalties at real and generated data "
    "(losses.adversarial.relativistic, losses.critic_penalty.zero_centred)",
    "a Wasserstein critic with gradient penalty (losses.adversarial.wasserstein)",
)
UNINFORMATIVE_LOSS = (
    "judge by samples and by a distance of features (metrics.frechet_distance), not by the loss",
    "a Wasserstein critic with gradient penalty, whose loss falls as samples get better",
)


def diagnose(
    ahead: ArrayLike | None = None,
    spread: ArrayLike | None = None,
    *,
    covered: float | None = None,
    window: int = 100,
    dominant: float = 0.9,
    fooled: float = 0.35,
    collapsed: float = 0.5,
) -> list[Finding]:
    """What the last steps of a run look like.

    A loss of the generator is compared with a critic that changes, and says nothing by itself: what
    is looked at is which of two scores is higher, and how different generated examples are. What is
    not given is not judged.

    Args:
      ahead: a number a step, the share of pairs in which the real score is above the generated one;
        1/2 where the critic cannot tell them apart. `models.gan.critic_loss` reports it.
      spread: a number a step, the spread of generated examples over that of real ones;
        `models.gan.generator_loss` reports it.
      covered: the share of modes or classes that draws have, if it is known; best that of
        `mode_coverage(...).effective`.
      window: steps at the end over which means are taken.
      dominant: the share above which the critic dominates.
      fooled: the share below which the generator does.
      collapsed: the spread, or the share of modes, below which modes have collapsed.

    Raises:
      ValueError: for histories without a step or a window below 1.
    """
    lead, width = (_late_mean(name, values, window) for name, values in
                   (("ahead", ahead), ("spread", spread)))  # fmt: skip
    found = []
    if lead is not None and lead > dominant:
        told = f"the real score is ahead in {lead:.1%} of pairs"
        found.append(Finding("critic dominance", told, CRITIC_DOMINANCE))
    if lead is not None and lead < fooled:
        told = f"the real score is ahead in {lead:.1%} of pairs only"
        found.append(Finding("generator dominance", told, GENERATOR_DOMINANCE))
    seen = {
        "generated examples spread {:.1%} as far as real ones": width,
        "{:.0%} of modes are covered": covered,
    }
    known = {words: share for words, share in seen.items() if share is not None}
    if any(share < collapsed for share in known.values()):
        told = ", ".join(words.format(share) for words, share in known.items())
        found.append(Finding("mode collapse", told, MODE_COLLAPSE))
    return found


def loss_against_quality(losses: ArrayLike, distances: ArrayLike) -> float:
    """Spearman's rank correlation of a loss and a distance of samples over the looks of a run.

    Near 1 the loss falls as samples get better; near 0 it says nothing of them.

    Args:
      losses: the generator's, at each look.
      distances: such as Fréchet distances, at the same looks.

    Raises:
      ValueError: for less than three looks or unequal numbers of them.
    """
    both = [np.asarray(values, float) for values in (losses, distances)]
    if both[0].shape != both[1].shape or both[0].ndim != 1 or len(both[0]) < 3:
        raise ValueError(
            f"losses, distances: expected 3 or more looks of both, "
            f"got {both[0].shape} and {both[1].shape}"
        )
    ranks = [_ranks(values) for values in both]
    centred = [r - r.mean() for r in ranks]
    size = np.sqrt(np.prod([np.sum(c**2) for c in centred]))
    return float(np.sum(centred[0] * centred[1]) / size) if size > 0 else 0.0


def uninformative(correlation: float, *, least: float = 0.3) -> list[Finding]:
    """A finding where the loss hardly goes with the quality of samples.

    Args:
      correlation: of `loss_against_quality`.
      least: below which the loss says nothing.
    """
    if correlation >= least:
        return []
    told = f"rank correlation of loss and distance {correlation:.2f}"
    return [Finding("uninformative loss", told, UNINFORMATIVE_LOSS)]


def _late_mean(name: str, history: ArrayLike | None, window: int) -> float | None:
    """The mean over the last steps, but for those at which a rule was idle and told nothing."""
    if history is None:
        return None
    values = np.asarray(history, float)
    if window < 1 or values.ndim != 1 or not len(values):
        raise ValueError(f"{name}, window: expected a number a step, and a positive window")
    return float(np.nanmean(values[-window:]))


def _ranks(values: np.ndarray) -> np.ndarray:
    """1, 2, …; the mean rank for equal values."""
    return np.array([np.mean(np.flatnonzero(np.sort(values) == v)) + 1 for v in values])
