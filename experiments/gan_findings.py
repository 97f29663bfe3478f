# SPDX-License-Identifier: Apache-2.0
"""What the history of a GAN tells: who dominates, what collapsed, what its loss is worth."""

from collections.abc import Mapping

import numpy as np

from jaxml.metrics import pathology

Columns = Mapping[str, np.ndarray]


def findings(columns: Columns, validation: Columns, *, judge_lead: bool = True) -> dict[str, str]:
    """Each finding with its evidence and its remedies; then the loss against the distance.

    A generator's loss is a comparison with a critic that learns, so that it may rise while samples
    get better: how much it went with the distance of samples, over the looks, is said whatever it
    is.

    Args:
      columns: the log of training.
      validation: the log of looks, with a `distance`.
      judge_lead: whether a critic that is ahead in nearly all pairs is a finding. For the slope of
        a Wasserstein game it is no loss, but what is wanted.
    """
    lead = columns["play/critic/ahead"] if judge_lead else None
    found = pathology.diagnose(lead, columns["play/generator/spread"])
    told = {}
    losses = between_looks(columns, validation.get("step", np.zeros(0)))
    if len(losses) >= 3:
        correlation = pathology.loss_against_quality(losses, validation["distance"])
        told["loss against quality"] = (
            f"rank correlation {correlation:.2f} of the generator's loss and the distance of "
            "samples; 1 where the loss falls as samples get better, 0 where it says nothing"
        )
        found += pathology.uninformative(correlation)
    for finding in found:
        told[finding.name] = f"{finding.evidence}; what helps: {'; '.join(finding.remedies)}"
    return told or {"findings": "none: neither player dominates, and draws spread as data do"}


def between_looks(columns: Columns, looks: np.ndarray) -> list[float]:
    """The mean of the generator's loss over the steps up to each look, from the one before."""
    step, loss = columns["step"], columns["play/generator/loss"]
    spans = zip([0, *looks[:-1]], looks, strict=True) if len(looks) else ()
    return [float(np.nanmean(loss[(step > low) & (step <= high)])) for low, high in spans]
