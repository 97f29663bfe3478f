# SPDX-License-Identifier: Apache-2.0
"""Laws of comparison: like with like, and what bounds alone can prove."""

import itertools

import numpy as np
import pytest
import scipy.stats

from jaxml.metrics import (
    Evidence,
    Incomparable,
    Kind,
    Unit,
    certainly_better,
    compare,
    convert,
    from_values,
    unlike,
)

RNG = np.random.default_rng(3)
PROTOCOL = {"dataset": "digits", "split": "test", "binarization": "none"}


def evidence(value=-80.0, **fields):
    about = {"unit": Unit.NATS, "kind": Kind.EXACT, "n": 100, "standard_error": 0.3, "dim": 64}
    return Evidence(**about | {"value": value, "protocol": PROTOCOL} | fields)


def test_independent_errors_add_in_squares():
    """Without the values the error is Welch's: sqrt(s_a²/n + s_b²/n)."""
    u, v = RNG.normal(-80, 5, 200), RNG.normal(-81, 9, 200)
    c = compare(from_values(u, kind=Kind.EXACT), from_values(v, kind=Kind.EXACT))
    t = scipy.stats.ttest_ind(u, v, equal_var=False).statistic
    assert c.difference / c.standard_error == pytest.approx(t, rel=1e-12)
    assert not c.paired


def test_paired_error_is_that_of_the_differences():
    """With the values the ratio of difference and error is the paired t statistic."""
    u = RNG.normal(-80, 5, 200)
    v = u - 0.3 + RNG.normal(0, 0.1, 200)
    a, b = from_values(u, kind=Kind.EXACT), from_values(v, kind=Kind.EXACT)
    c = compare(a, b, values=(u, v))
    assert c.difference / c.standard_error == pytest.approx(
        scipy.stats.ttest_rel(u, v).statistic, rel=1e-11
    )
    assert c.standard_error < compare(a, b).standard_error / 10
    assert (
        str(c)
        == f"{c.difference:.3f} ± 0.00{round(1000 * c.standard_error)} nats (paired, n = 200)"
    )


@pytest.mark.parametrize("unit", [Unit.NATS, Unit.BITS, Unit.BITS_PER_DIM])
def test_the_unit_of_the_second_does_not_matter(unit):
    """The difference in nats is the same whether the other is in nats, bits or bits/dim."""
    u, v = RNG.normal(-80, 5, 50), RNG.normal(-90, 5, 50)
    a, b = (from_values(x, kind=Kind.LOWER_BOUND, dim=64, levels=256.0) for x in (u, v))
    moved = {
        Unit.NATS: v,
        Unit.BITS: v / np.log(2),
        Unit.BITS_PER_DIM: -v / (64 * np.log(2)) + 8,
    }[unit]
    assert moved.mean() == pytest.approx(convert(b, unit).value, rel=1e-12)
    for values, other in [(None, None), ((u, v), (u, moved))]:
        plain, c = compare(a, b, values=values), compare(a, convert(b, unit), values=other)
        assert c.difference == pytest.approx(plain.difference, rel=1e-11)
        assert c.standard_error == pytest.approx(plain.standard_error, rel=1e-11)
        assert c.unit is Unit.NATS


def test_densities_over_differently_scaled_data_are_brought_together():
    """256 levels on [0, 1] and 1 level on [0, 256] are one density, so the difference is 0."""
    a = evidence(levels=256.0)
    assert compare(a, convert(a, Unit.NATS, levels=1.0)).difference == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantity": "KL"}, "quantity: log-likelihood against KL"),
        ({"dim": 784}, "dim: 64 against 784"),
        ({"dim": None}, "dim: 64 against unknown"),
        ({"kind": Kind.LOWER_BOUND}, "kind: exact against lower bound"),
        ({"n": 99}, "n: 100 against 99"),
        ({"samples": 5}, "samples: unknown against 5"),
        ({"protocol": PROTOCOL | {"split": "train"}}, "protocol.split: test against train"),
        ({"protocol": {}}, "protocol.binarization: none against unknown"),
        (
            {"protocol": PROTOCOL | {"split": "train", "dataset": "mnist"}},
            "protocol.dataset: digits against mnist",
        ),
    ],
)
def test_unlike_evidence_is_refused_with_the_first_difference(fields, message):
    """The message names the first differing field and both of its values, in either order."""
    a, b = evidence(), evidence(**fields)
    with pytest.raises(Incomparable, match=f"^not comparable: {message}$"):
        compare(a, b)
    one, other = message.split(": ")[1].split(" against ")
    with pytest.raises(Incomparable, match=f"{other} against {one}$"):
        compare(b, a)


def test_units_that_do_not_convert_are_refused():
    """A pure number is not nats, and densities of unknown dimension keep their scale."""
    a = evidence(quantity="KL")
    with pytest.raises(Incomparable, match="unit: nats against 1"):
        compare(a, evidence(quantity="KL", unit=Unit.NUMBER))
    with pytest.raises(Incomparable, match=r"levels: 1.0 against 256.0"):
        compare(evidence(dim=None), evidence(dim=None, levels=256.0))
    with pytest.raises(Incomparable, match="higher_is_better: True against False"):
        compare(a, evidence(quantity="KL", higher_is_better=False))


def test_the_family_is_no_reason():
    """One ruler for all families: the family is told, not compared."""
    assert unlike(evidence(family="flow"), evidence(family="vae")) is None


def test_likeness_is_an_equivalence():
    """Reflexive, symmetric and transitive over every combination of the fields."""
    cases = [
        convert(evidence(kind=kind, samples=samples, levels=levels), unit)
        for kind in Kind
        for samples in (None, 5)
        for levels in (1.0, 256.0)
        for unit in (Unit.NATS, Unit.BITS_PER_DIM)
    ]
    like = np.array([[unlike(a, b) is None for b in cases] for a in cases])
    assert like.diagonal().all()
    np.testing.assert_array_equal(like, like.T)
    np.testing.assert_array_equal(like, like @ like)
    assert like.sum() == len(cases) * 4  # a class: two spaces in two units


@pytest.mark.parametrize("unit", [Unit.NATS, Unit.BITS_PER_DIM])
@pytest.mark.parametrize("unit_b", [Unit.NATS, Unit.BITS_PER_DIM])
def test_certainty_is_what_holds_for_every_truth(unit, unit_b):
    """Certain exactly if every pair of truths that the bounds admit has the same winner."""
    grid = np.arange(5.0)
    admitted = {
        Kind.EXACT: lambda v: grid[grid == v],
        Kind.LOWER_BOUND: lambda v: grid[grid >= v],
        Kind.UPPER_BOUND: lambda v: grid[grid <= v],
        Kind.ESTIMATE: lambda v: grid,
    }
    n_certain = 0
    for a_kind, b_kind, u, v in itertools.product(Kind, Kind, (1.0, 2.0, 3.0), (1.0, 2.0, 3.0)):
        truths = itertools.product(admitted[a_kind](u), admitted[b_kind](v))
        certain = all(s > t for s, t in truths)
        a = convert(evidence(u, kind=a_kind, standard_error=0.0), unit)
        b = convert(evidence(v, kind=b_kind, standard_error=0.0), unit_b)
        assert certainly_better(a, b) is certain, (a_kind, b_kind, u, v)
        n_certain += certain
    assert n_certain == 4 * 3  # four sound pairs of kinds, three pairs of values with u > v


def test_a_bound_above_an_exact_value_is_conclusive_however_it_was_estimated():
    """An IWAE bound of 5000 samples above an exact likelihood decides; `compare` still refuses."""
    protocol = PROTOCOL | {"estimator": "IWAE"}
    a = evidence(-80.0, kind=Kind.LOWER_BOUND, samples=5000, protocol=protocol)
    b = evidence(-85.0)
    assert certainly_better(a, b)
    assert not certainly_better(b, a)
    with pytest.raises(Incomparable, match="kind"):
        compare(a, b)


def test_certainty_needs_the_gap_to_exceed_the_error():
    """The gap of 1 counts against hypot(0.3, 0.4) = 0.5 at 1.9 errors, not at 2.1."""
    a, b = evidence(-80.0, standard_error=0.3), evidence(-81.0, standard_error=0.4)
    assert certainly_better(a, b, errors=1.9)
    assert not certainly_better(a, b, errors=2.1)
    assert not certainly_better(a, evidence(-999.0, standard_error=None))


def test_certainty_may_use_paired_values():
    """A gap hidden by the scatter over examples shows in the differences."""
    u = RNG.normal(-80, 20, 100)
    v = u - 0.5 + RNG.normal(0, 0.1, 100)
    a, b = (from_values(x, kind=Kind.EXACT) for x in (u, v))
    assert not certainly_better(a, b)
    assert certainly_better(a, b, values=(u, v))


def test_certainty_refuses_other_data():
    """No bound speaks about another dataset."""
    with pytest.raises(Incomparable, match=r"protocol.split: test against train"):
        certainly_better(evidence(), evidence(protocol=PROTOCOL | {"split": "train"}))


def test_foreign_values_are_refused():
    """Values that the evidence was not made of do not pair with it."""
    u = RNG.normal(-80, 5, 20)
    a = from_values(u, kind=Kind.EXACT)
    with pytest.raises(ValueError, match="values of b: expected the 20 values"):
        compare(a, a, values=(u, u[:-1]))
    with pytest.raises(ValueError, match="values of a: expected"):
        compare(a, a, values=(u + 1, u))
