# SPDX-License-Identifier: Apache-2.0
"""Comparison of evidence: like with like, or a refusal that says what is unlike."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxml.metrics.evidence import Evidence, Kind, Unit, convert, line, per_example, rounded


class Incomparable(ValueError):  # noqa: N818 - a refusal, not a fault
    """Two pieces of evidence do not speak of the same thing; the message says what differs."""


class Comparison(NamedTuple):
    """The difference `a − b`.

    Attributes:
      difference: in `unit`.
      standard_error: of the difference; `None` where one of the two errors is not known.
      unit: the unit of `a`.
      paired: whether the error was taken over differences of the same examples.
      n: the number of examples.
    """

    difference: float
    standard_error: float | None
    unit: Unit
    paired: bool
    n: int

    def __str__(self) -> str:
        """One line: `1.2 ± 0.1 nats (paired, n = 10000)`."""
        unit = "" if self.unit is Unit.NUMBER else f" {self.unit.value}"
        how = "paired, " if self.paired else ""
        return f"{rounded(self.difference, self.standard_error)}{unit} ({how}n = {self.n})"


def compare(a: Evidence, b: Evidence, *, values: tuple[Any, Any] | None = None) -> Comparison:
    """The difference `a − b` in the unit of `a`, with its standard error.

    Unpaired, the error is `sqrt(σ_a² + σ_b²)`: right for independent examples and too large for
    two models measured on the same ones, whose values rise and fall together. With `values` it is
    the standard error of the mean of the differences.

    The difference of two bounds of the same kind is a difference of bounds, not of what they
    bound; `certainly_better` draws what follows from bounds.

    Args:
      a: the minuend.
      b: the subtrahend; converted to the unit of `a`.
      values: the per-example values of `a` and of `b`, `(n,)` each, in the same order of examples
        and in the units of their evidence.

    Raises:
      Incomparable: naming the first thing that differs, with both sides of it.
      ValueError: if `values` are not those that the evidence was made of.
    """
    reason = unlike(a, b)
    if reason is not None:
        raise Incomparable(f"not comparable: {reason}")
    return _difference(a, b, values)


def certainly_better(
    a: Evidence, b: Evidence, *, values: tuple[Any, Any] | None = None, errors: float = 3.0
) -> bool:
    """Whether `a` is better than `b` whatever the bounds leave open.

    Conclusive is a value that the truth of `a` can only exceed against a value that the truth of
    `b` can only fall short of (the other way round where lower is better): a lower bound or an
    exact value of `a` above an exact value or an upper bound of `b`. Every other pairing, however
    large the gap, and every estimate proves nothing and gives False, as does an unknown error.
    The estimator of a bound and its samples decide how tight it is, not whether it holds, so here
    they may differ.

    Args:
      a: the one that may be better.
      b: the other.
      values: as in `compare`.
      errors: how many standard errors the gap must exceed.

    Raises:
      Incomparable: if the two speak of different quantities, data or protocols.
      ValueError: if `values` are not those that the evidence was made of.
    """
    reason = unlike(a, b, conclusively=True)
    if reason is not None:
        raise Incomparable(f"not comparable: {reason}")
    sound = {Kind.LOWER_BOUND, Kind.EXACT} if a.higher_is_better else {Kind.UPPER_BOUND, Kind.EXACT}
    b_kind = convert(b, a.unit, levels=a.levels).kind
    if a.kind not in sound or b_kind.mirrored() not in sound:
        return False
    gap = _difference(a, b, values)
    if gap.standard_error is None:
        return False
    better = gap.difference if a.higher_is_better else -gap.difference
    rounding = 1e-12 * (abs(a.value) + abs(better))  # equal values differ by this after conversion
    return better > errors * gap.standard_error + rounding


def unlike(a: Evidence, b: Evidence, *, conclusively: bool = False) -> str | None:
    """The first thing that forbids comparing the two, as `name: a's against b's`, or `None`.

    Likeness is an equivalence: it sorts any number of values into groups that may be ranked.

    Args:
      a: one.
      b: the other.
      conclusively: leave out what `certainly_better` does not need: the kind, the samples, and
        `estimator` among the protocol's entries.
    """
    for name, one, other in _aspects(a, b, conclusively):
        if one != other:
            return f"{name}: {_shown(one)} against {_shown(other)}"
    return None


def _aspects(a: Evidence, b: Evidence, conclusively: bool) -> Iterator[tuple[str, Any, Any]]:
    yield "quantity", a.quantity, b.quantity
    yield "dim", a.dim, b.dim
    try:
        b = convert(b, a.unit, levels=a.levels)
    except ValueError:  # a pure number against nats, or levels that only a known dim reconciles
        yield "unit", a.unit.value, b.unit.value
        yield "levels", a.levels, b.levels
    yield "higher_is_better", a.higher_is_better, b.higher_is_better
    if not conclusively:
        yield "kind", a.kind.value, b.kind.value
    for key in sorted({*a.protocol, *b.protocol} - ({"estimator"} if conclusively else set())):
        yield f"protocol.{key}", a.protocol.get(key), b.protocol.get(key)
    yield "n", a.n, b.n
    if not conclusively:
        yield "samples", a.samples, b.samples


def _difference(a: Evidence, b: Evidence, values: tuple[Any, Any] | None) -> Comparison:
    slope, offset = line(b, a.unit, a.levels)
    difference = a.value - (slope * b.value + offset)
    if values is not None:
        u, v = _values_of(a, values[0], "a"), _values_of(b, values[1], "b")
        d = u - (slope * v + offset)
        error = float(d.std(ddof=1) / math.sqrt(len(d))) if len(d) > 1 else None
    elif a.standard_error is None or b.standard_error is None:
        error = None
    else:
        error = math.hypot(a.standard_error, slope * b.standard_error)
    return Comparison(difference, error, a.unit, values is not None, a.n)


def _values_of(evidence: Evidence, values: Any, name: str) -> Any:
    v = per_example(values)
    if len(v) != evidence.n or not math.isclose(
        v.mean(), evidence.value, rel_tol=1e-6, abs_tol=1e-9
    ):
        raise ValueError(
            f"values of {name}: expected the {evidence.n} values with mean {evidence.value}, "
            f"got {len(v)} with mean {v.mean()}"
        )
    return v


def _shown(entry: Any) -> str:
    return "unknown" if entry is None else str(entry)
