# SPDX-License-Identifier: Apache-2.0
"""What is known of log Z and of log p, as evidence: which side of the truth it errs to.

A lower bound of log Z is an upper bound of log p(x) = −E(x) − log Z, and the other way round.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from jaxml.metrics import Evidence, Kind, Unit
from jaxml.probability.importance import LogMean


def log_partition_evidence(
    bound: LogMean, kind: Kind, *, n_chains: int, protocol: Mapping[str, Any], family: str = ""
) -> Evidence:
    """log Z in nats with the standard error of its chains.

    Args:
      bound: of `lower_bound` or `upper_bound`.
      kind: `Kind.LOWER_BOUND`, `Kind.UPPER_BOUND`, or `Kind.ESTIMATE` where chains began at draws
        that are not exact.
      n_chains: annealed chains.
      protocol: number of βs, where chains began.
      family: of the model.
    """
    return Evidence(
        value=float(bound.value),
        unit=Unit.NATS,
        kind=kind,
        n=n_chains,
        standard_error=float(bound.standard_error),
        quantity="log Z",
        higher_is_better=False,
        samples=None,
        family=family,
        protocol=protocol,
    )


def log_likelihood_evidence(
    energies: Float[Array, "n"],
    log_partition: LogMean | float,
    kind: Kind,
    *,
    dim: int,
    protocol: Mapping[str, Any],
    family: str = "",
) -> Evidence:
    """Mean of −E(x) − log Z in nats, whose kind is the mirrored one of that of log Z.

    Args:
      energies: E(x) of test examples, at least two.
      log_partition: log Z, exact or bounded.
      kind: of log Z: a lower bound of it makes an upper bound of the log-likelihood.
      dim: numbers of an example.
      protocol: what else must agree.
      family: of the model.

    Raises:
      ValueError: for fewer than two energies.
    """
    values = -np.asarray(energies, np.float64)
    if len(values) < 2:
        raise ValueError(f"energies: a standard error needs at least 2, got {len(values)}")
    error = values.std(ddof=1) / np.sqrt(len(values))
    if isinstance(log_partition, LogMean):
        log_z, of_chains = float(log_partition.value), float(log_partition.standard_error)
    else:
        log_z, of_chains = float(log_partition), 0.0
    return Evidence(
        value=float(values.mean()) - log_z,
        unit=Unit.NATS,
        kind=kind.mirrored(),
        n=len(values),
        standard_error=float(np.hypot(error, of_chains)),
        dim=dim,
        family=family,
        protocol=protocol,
    )
