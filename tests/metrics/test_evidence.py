# SPDX-License-Identifier: Apache-2.0
"""Laws of evidence: means, errors and units."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from jaxml.metrics import Evidence, Kind, Unit, convert, from_values, rounded

RNG = np.random.default_rng(7)


def likelihood(value=-100.0, **fields):
    about = {"unit": Unit.NATS, "kind": Kind.EXACT, "n": 10, "standard_error": 0.5, "dim": 12}
    return Evidence(**about | {"value": value} | fields)


def test_mean_and_standard_error_are_those_of_statistics():
    """`from_values` agrees with scipy's mean and standard error of the mean."""
    v = RNG.normal(-90, 7, 501)
    e = from_values(v, kind=Kind.LOWER_BOUND)
    assert e.value == pytest.approx(v.mean(), rel=1e-14)
    assert e.standard_error == pytest.approx(scipy.stats.sem(v), rel=1e-12)
    assert (e.n, e.unit, e.higher_is_better) == (501, Unit.NATS, True)


def test_values_are_summed_in_double_precision():
    """A float32 vector far from zero keeps the scatter that float32 sums would round away."""
    v = (1e6 + RNG.normal(0, 1, 20_000)).astype(np.float32)
    e = from_values(v, kind=Kind.EXACT)
    assert e.value == pytest.approx(math.fsum(v.tolist()) / len(v), rel=1e-13)


def test_one_value_has_no_known_error():
    """The scatter of a single value is unknown, not zero."""
    assert from_values([3.0], kind=Kind.EXACT).standard_error is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"got shape \(0,\)"),
        ([[1.0, 2.0]], r"got shape \(1, 2\)"),
        ([1.0, np.nan, 2.0, np.inf], "2 of 4 are not: the first, at index 1, is nan"),
    ],
)
def test_bad_values_are_named(values, message):
    """What is not a vector of finite numbers is refused with its shape or its first bad index."""
    with pytest.raises(ValueError, match=message):
        from_values(values, kind=Kind.EXACT)


def test_uniform_density_on_the_unit_cube_costs_log2_levels():
    """log p = 0 on [0, 1]^D is 8 bits/dim for 256 levels and 0 for a density over bins."""
    e = likelihood(0.0, levels=256.0)
    assert convert(e, Unit.BITS_PER_DIM).value == pytest.approx(8.0, abs=1e-15)
    assert convert(likelihood(0.0), Unit.BITS_PER_DIM).value == 0.0


def test_a_uniform_pmf_costs_log2_of_its_size():
    """A uniform mass over 32 symbols in each of D places costs 5 bits/dim, whatever D."""
    e = likelihood(-12 * math.log(32))
    assert convert(e, Unit.BITS_PER_DIM).value == pytest.approx(5.0, rel=1e-15)
    assert convert(e, Unit.BITS).value == pytest.approx(-60.0, rel=1e-15)


def test_bits_per_dim_do_not_depend_on_the_scale_of_the_data():
    """The same Gaussian over pixels in [0, 256], [0, 1] and [-1, 1] has the same bits/dim."""
    y = RNG.uniform(0, 256, (50, 12))
    bpd = []
    for levels, shift in [(1.0, 0.0), (256.0, 0.0), (128.0, -1.0)]:
        x = y / levels + shift
        p = scipy.stats.norm(100 / levels + shift, 60 / levels)
        e = from_values(p.logpdf(x).sum(1), kind=Kind.EXACT, dim=12, levels=levels)
        bpd.append(convert(e, Unit.BITS_PER_DIM).value)
        moved = convert(e, Unit.NATS, levels=1.0)
        density = scipy.stats.norm(100, 60).logpdf(y).sum(1)
        assert moved.value == pytest.approx(density.mean(), rel=1e-12)
        assert moved.standard_error == pytest.approx(scipy.stats.sem(density), rel=1e-11)
    assert bpd == pytest.approx([bpd[0]] * 3, rel=1e-12)


@pytest.mark.parametrize("levels", [1.0, 128.0, 256.0])
@pytest.mark.parametrize("there", [Unit.NATS, Unit.BITS, Unit.BITS_PER_DIM])
@pytest.mark.parametrize("here", [Unit.NATS, Unit.BITS, Unit.BITS_PER_DIM])
def test_conversion_there_and_back_is_the_identity(here, there, levels):
    """Converting to any unit and back returns every field."""
    e = convert(likelihood(levels=levels, kind=Kind.LOWER_BOUND), here)
    back = convert(convert(e, there), here)
    assert back.value == pytest.approx(e.value, rel=1e-13)
    assert back.standard_error == pytest.approx(e.standard_error, rel=1e-13)
    drop = {"value": 0.0, "standard_error": 0.0}
    assert dataclasses.replace(back, **drop) == dataclasses.replace(e, **drop)


def test_a_lower_bound_in_nats_is_an_upper_bound_in_bits_per_dim():
    """The code length has the opposite sign, and with it the bound and the sense turn."""
    e = convert(likelihood(kind=Kind.LOWER_BOUND), Unit.BITS_PER_DIM)
    assert (e.kind, e.higher_is_better) == (Kind.UPPER_BOUND, False)
    assert convert(e, Unit.BITS).kind is Kind.LOWER_BOUND


def test_other_quantities_are_scaled_only():
    """A divergence of D ln 2 nats is one bit per dimension and stays a cost."""
    e = likelihood(12 * math.log(2), quantity="KL", higher_is_better=False, kind=Kind.UPPER_BOUND)
    per_dim = convert(e, Unit.BITS_PER_DIM)
    assert per_dim.value == pytest.approx(1.0, rel=1e-15)
    assert (per_dim.kind, per_dim.higher_is_better) == (Kind.UPPER_BOUND, False)


def test_impossible_conversions_say_why():
    """Pure numbers have no unit to convert, and bits/dim need to know D."""
    fid = likelihood(3.0, unit=Unit.NUMBER, quantity="Fréchet distance")
    with pytest.raises(ValueError, match="no conversion from '1' to 'nats'"):
        convert(fid, Unit.NATS)
    with pytest.raises(ValueError, match="dim: must be known to convert nats to bits/dim"):
        convert(likelihood(dim=None), Unit.BITS_PER_DIM)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": math.nan}, "value a finite number, got nan"),
        ({"value": math.inf}, "value a finite number"),
        ({"standard_error": -1.0}, "standard_error"),
        ({"standard_error": math.nan}, "standard_error"),
        ({"n": 0}, "n at least 1, got 0"),
        ({"samples": 0}, "samples"),
        ({"dim": 0}, "dim"),
        ({"levels": 0.0}, "levels"),
        ({"levels": 2.0, "quantity": "KL"}, "levels 1 for 'KL'"),
        ({"unit": Unit.BITS_PER_DIM, "higher_is_better": False, "dim": None}, "dim given"),
        ({"unit": Unit.BITS_PER_DIM}, "higher_is_better False for 'log-likelihood' in bits/dim"),
        ({"higher_is_better": False}, "higher_is_better True for 'log-likelihood' in nats"),
        ({"protocol": {"scale": math.inf}}, r"protocol\['scale'\] to be finite"),
    ],
)
def test_contradictions_are_refused(fields, message):
    """A field out of range, or against another field, is named in the error."""
    with pytest.raises(ValueError, match=message):
        likelihood(**fields)


def test_evidence_does_not_change_with_the_mapping_it_was_made_from():
    """The protocol is a sorted copy that nobody can write to."""
    protocol = {"split": "test", "dataset": "digits"}
    e = likelihood(protocol=protocol)
    protocol["split"] = "train"
    assert list(e.protocol.items()) == [("dataset", "digits"), ("split", "test")]
    with pytest.raises(TypeError):
        e.protocol["split"] = "train"


@pytest.mark.parametrize(
    ("value", "error", "line"),
    [
        (-86.9123, 0.2341, "-86.9 ± 0.2"),
        (-86.9123, 0.1412, "-86.91 ± 0.14"),
        (2.94444, 0.0096, "2.944 ± 0.010"),
        (-869.1, 23.0, "-869 ± 23"),
        (12345.6, 2345.0, "12346 ± 2345"),
        (0.5, 0.0, "0.5"),
        (1 / 3, None, "0.333333"),
    ],
)
def test_rounding_keeps_what_the_error_leaves_meaningful(value, error, line):
    """One digit of the error, two where it begins with 1."""
    assert rounded(value, error) == line


def test_one_line():
    """The line names value, error, unit, kind, samples and n."""
    e = likelihood(-86.91, standard_error=0.23, kind=Kind.LOWER_BOUND, samples=5000, n=10000)
    assert str(e) == "-86.9 ± 0.2 nats (lower bound, 5000 samples, n = 10000)"
    fid = Evidence(
        value=3.25, unit=Unit.NUMBER, kind=Kind.ESTIMATE, n=500, quantity="FID", samples=1
    )
    assert str(fid) == "3.25 (estimate, 1 sample, n = 500)"
