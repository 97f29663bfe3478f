# SPDX-License-Identifier: Apache-2.0
"""Evidence: a measured number together with everything that decides what it may be compared to."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

LOG_LIKELIHOOD = "log-likelihood"
"""The quantity that is a log-probability in nats and bits, and a code length in bits/dim."""


class Unit(enum.Enum):
    """What a value is counted in."""

    NATS = "nats"
    BITS = "bits"
    BITS_PER_DIM = "bits/dim"
    NUMBER = "1"
    """A pure number: an accuracy, a Fréchet distance, a count."""


class Kind(enum.Enum):
    """How a value stands to the truth it speaks of."""

    EXACT = "exact"
    LOWER_BOUND = "lower bound"
    UPPER_BOUND = "upper bound"
    ESTIMATE = "estimate"
    """Neither exact nor known to err to one side."""

    def mirrored(self) -> "Kind":
        """The kind of the value with its sign turned: a lower bound becomes an upper one."""
        turned = {Kind.LOWER_BOUND: Kind.UPPER_BOUND, Kind.UPPER_BOUND: Kind.LOWER_BOUND}
        return turned.get(self, self)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A mean over `n` examples, with its unit, its kind, its error and how it was measured.

    A log-likelihood is a log-probability in nats or bits (higher is better) and a code length in
    bits/dim (lower is better). The sign belongs to the unit, and so a lower bound in nats is an
    upper bound in bits/dim.

    Attributes:
      value: the mean.
      unit: what it is counted in.
      kind: exact, a bound or an estimate.
      n: how many examples it is the mean of.
      standard_error: of the mean over examples, in `unit`; `None` where it is not known, 0 where
        nothing was sampled.
      quantity: what was measured: `log-likelihood`, `Fréchet distance`, `accuracy`.
      higher_is_better: the sense of `value`.
      samples: Monte Carlo samples per example; `None` where none were drawn.
      dim: D, the number of dimensions of an example.
      levels: quantization levels per unit length of the space of a density: 256 for 8-bit data
        scaled to [0, 1], 1 for a density on [0, 256] and for a probability mass.
      protocol: what else must agree before two values may be compared: the dataset and its hash,
        the split, dequantization or binarization, and under `estimator` how it was estimated.
      family: the model family: told to the reader, never a reason against a comparison.

    Raises:
      ValueError: where a field is out of range or contradicts another.
    """

    value: float
    unit: Unit
    kind: Kind
    n: int
    standard_error: float | None = None
    quantity: str = LOG_LIKELIHOOD
    higher_is_better: bool = True
    samples: int | None = None
    dim: int | None = None
    levels: float = 1.0
    protocol: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    family: str = ""

    def __post_init__(self):
        _expect(self, "value", "a finite number", math.isfinite(self.value))
        _expect(self, "n", "at least 1", self.n >= 1)
        error = self.standard_error
        _expect(self, "standard_error", "None or a finite number, at least 0",
                error is None or 0 <= error < math.inf)  # fmt: skip
        _expect(self, "samples", "None or at least 1", self.samples is None or self.samples >= 1)
        _expect(self, "dim", "None or at least 1", self.dim is None or self.dim >= 1)
        _expect(self, "levels", "a positive finite number", 0 < self.levels < math.inf)
        for key, entry in self.protocol.items():
            if isinstance(entry, float) and not math.isfinite(entry):
                raise ValueError(f"evidence: expected protocol[{key!r}] to be finite, got {entry}")
        per_dim, likelihood = self.unit is Unit.BITS_PER_DIM, self.quantity == LOG_LIKELIHOOD
        _expect(self, "dim", "given where the unit is bits/dim", not per_dim or self.dim)
        _expect(self, "levels", f"1 for {self.quantity!r}", likelihood or self.levels == 1)
        sense = f"{not per_dim} for {self.quantity!r} in {self.unit.value}"
        fixed = likelihood or per_dim
        _expect(self, "higher_is_better", sense, not fixed or self.higher_is_better != per_dim)
        object.__setattr__(self, "protocol", MappingProxyType(dict(sorted(self.protocol.items()))))

    def __str__(self) -> str:
        """One line: `-86.9 ± 0.2 nats (lower bound, 5000 samples, n = 10000)`."""
        unit = "" if self.unit is Unit.NUMBER else f" {self.unit.value}"
        return f"{rounded(self.value, self.standard_error)}{unit} ({self.provenance()})"

    def provenance(self) -> str:
        """The bracket of the one line: `lower bound, 5000 samples, n = 10000`."""
        about = [self.kind.value, f"n = {self.n}"]
        if self.samples is not None:
            about.insert(1, f"{self.samples} sample{'' if self.samples == 1 else 's'}")
        return ", ".join(about)


def from_values(
    values: Any,
    *,
    kind: Kind,
    unit: Unit = Unit.NATS,
    higher_is_better: bool | None = None,
    **about: Any,
) -> Evidence:
    """Mean and standard error `sqrt(Σ (vᵢ − v̄)² / (n (n − 1)))` of one value per example.

    Where the values are themselves Monte Carlo estimates, their noise is part of the scatter and
    so of the standard error. Sums run in float64 whatever the dtype of the values.

    Args:
      values: one number per example, `(n,)`.
      kind: of each value.
      unit: of the values.
      higher_is_better: `None` takes true, but false in bits/dim.
      **about: the other fields of `Evidence`.

    Raises:
      ValueError: if the values are not a nonempty vector of finite numbers.
    """
    v = per_example(values)
    if higher_is_better is None:
        higher_is_better = unit is not Unit.BITS_PER_DIM
    return Evidence(
        value=float(v.mean()),
        standard_error=float(v.std(ddof=1) / math.sqrt(len(v))) if len(v) > 1 else None,
        n=len(v),
        unit=unit,
        kind=kind,
        higher_is_better=higher_is_better,
        **about,
    )


def per_example(values: Any) -> np.ndarray:
    """The values as a float64 vector `(n,)`, n ≥ 1, all finite; a ValueError where they are not."""
    v = np.asarray(values, np.float64)
    if v.ndim != 1 or len(v) == 0:
        raise ValueError(f"values: expected one number per example, (n,), got shape {v.shape}")
    bad = np.flatnonzero(~np.isfinite(v))
    if len(bad):
        raise ValueError(
            f"values: expected finite numbers, but {len(bad)} of {len(v)} are not: "
            f"the first, at index {bad[0]}, is {v[bad[0]]}"
        )
    return v


def convert(evidence: Evidence, unit: Unit, *, levels: float | None = None) -> Evidence:
    """The same evidence in another unit: `bits/dim = −log p / (D ln 2) + log2(levels)`.

    Args:
      evidence: what to convert.
      unit: nats, bits or bits/dim.
      levels: also move a log-density to a space with so many quantization levels per unit length.

    Raises:
      ValueError: if there is no such map: from or to pure numbers, or where `dim` is needed and
        not known.
    """
    slope, offset = line(evidence, unit, levels)
    error = evidence.standard_error
    return replace(
        evidence,
        value=slope * evidence.value + offset,
        standard_error=None if error is None else abs(slope) * error,
        unit=unit,
        kind=evidence.kind if slope > 0 else evidence.kind.mirrored(),
        higher_is_better=evidence.higher_is_better == (slope > 0),
        levels=evidence.levels if levels is None else levels,
    )


def line(evidence: Evidence, unit: Unit, levels: float | None = None) -> tuple[float, float]:
    """`(slope, offset)` such that `slope · value + offset` is the value in another unit.

    Raises:
      ValueError: as `convert` does.
    """
    here, there = evidence.unit, unit
    levels = evidence.levels if levels is None else levels
    if (there, levels) == (here, evidence.levels):
        return 1.0, 0.0
    if Unit.NUMBER in (here, there):
        raise ValueError(f"unit: no conversion from {here.value!r} to {there.value!r}")
    if evidence.dim is None and (Unit.BITS_PER_DIM in (here, there) or levels != evidence.levels):
        raise ValueError(f"dim: must be known to convert {here.value} to {there.value}")
    dim = evidence.dim or 1
    nats = {Unit.NATS: 1.0, Unit.BITS: math.log(2), Unit.BITS_PER_DIM: dim * math.log(2)}
    if evidence.quantity != LOG_LIKELIHOOD:
        return nats[here] / nats[there], 0.0
    # The density over quantization bins is what all spaces share; bits/dim is taken of it.
    nats[Unit.BITS_PER_DIM] *= -1
    to_bins = 0.0 if here is Unit.BITS_PER_DIM else dim * math.log(evidence.levels)
    from_bins = 0.0 if there is Unit.BITS_PER_DIM else dim * math.log(levels)
    return nats[here] / nats[there], (from_bins - to_bins) / nats[there]


def rounded(value: float, standard_error: float | None) -> str:
    """`value ± standard_error`, to the digit that the error leaves meaningful.

    The error keeps one digit, or two where it begins with 1 (one digit of 0.14 would be off by
    40 %). Without an error, or with an error of 0, the value keeps six.
    """
    if not standard_error:
        return f"{value:.6g}"
    exponent = math.floor(math.log10(standard_error))
    digits = 2 if standard_error < 1.95 * 10.0**exponent else 1
    places = max(0, digits - 1 - exponent)
    return f"{value:.{places}f} ± {standard_error:.{places}f}"


def _expect(evidence: Evidence, name: str, what: str, holds: Any) -> None:
    if not holds:
        raise ValueError(f"evidence: expected {name} {what}, got {getattr(evidence, name)!r}")
