# SPDX-License-Identifier: Apache-2.0
"""Laws of the columns: like with like, the reason why not, and no conclusion without a proof."""

import pytest

from jaxml.metrics import Evidence, Kind, Unit, convert
from jaxml.training.report import Run
from jaxml.training.report.column import columns, conclusions, reasons


def bound(value, samples=5000, estimator="IWAE", **fields):
    about = {"unit": Unit.NATS, "kind": Kind.LOWER_BOUND, "n": 100, "standard_error": 0.5,
             "dim": 64, "samples": samples,
             "protocol": {"split": "test", "estimator": estimator}}  # fmt: skip
    return Evidence(**about | {"value": value} | fields)


def exact(value, **fields):
    return bound(value, None, "change of variables", kind=Kind.EXACT, **fields)


def distance(value):
    return bound(value, None, "", unit=Unit.NUMBER, kind=Kind.ESTIMATE, quantity="FID",
                 higher_is_better=False, dim=None)  # fmt: skip


A = Run("a", [bound(-80.0), bound(-83.0, 1, "ELBO"), distance(3.0)], {"seed": 0, "width": 8})
B = Run("b", [bound(-90.0), bound(-91.0, 1, "ELBO"), distance(2.0)], {"seed": 0, "width": 16})
FLOW = Run("flow", [exact(-85.0)], {"seed": 0, "layers": 3})


def test_like_values_share_a_column_and_unlike_ones_do_not():
    """Three columns of two runs, one of the exact likelihood alone."""
    found = columns([A, B, FLOW])
    assert [list(column.values) for column in found] == [[0, 1], [0, 1], [0, 1], [2]]
    assert [column.best() for column in found] == [0, 0, 1, 2]


@pytest.mark.parametrize("unit", [Unit.BITS, Unit.BITS_PER_DIM])
def test_other_units_are_brought_into_the_column(unit):
    """The same bound in bits/dim (there an upper bound) is ranked in nats."""
    moved = Run("moved", [convert(bound(-70.0), unit)])
    (column,) = columns([Run("a", [bound(-80.0)]), moved])
    assert column.best() == 1
    assert column.values[1].value == pytest.approx(-70.0, rel=1e-12)
    assert column.values[1].unit is Unit.NATS


def test_a_value_measured_twice_has_two_columns():
    """One run never fills two places of a column."""
    found = columns([Run("a", [bound(-80.0), bound(-81.0)])])
    assert len(found) == 2
    assert list(reasons(found)) == [(1, 0, "measured again")]


def test_reasons_name_what_differs():
    """Columns of one quantity are apart for a named reason; other quantities need none."""
    assert list(reasons(columns([A, B, FLOW]))) == [
        (1, 0, "protocol.estimator: ELBO against IWAE"),
        (3, 0, "kind: exact against lower bound"),
    ]


def test_only_bounds_that_prove_something_conclude():
    """−80 bounds from below what beats the exact −85; the bound −90 proves nothing against it."""
    lines = list(conclusions([A, B, FLOW], columns([A, B, FLOW])))
    assert lines == [
        "a is better than flow in log-likelihood: "
        "-80.0 ± 0.5 nats (lower bound, 5000 samples, n = 100) against "
        "-85.0 ± 0.5 nats (exact, n = 100)",
    ]


def test_a_run_is_not_compared_with_itself():
    """Two numbers of one run, a bound above an exact value, prove nothing about two runs."""
    found = columns([Run("a", [bound(-80.0), exact(-85.0)])])
    assert list(conclusions([Run("a", [])], found)) == []
