# SPDX-License-Identifier: Apache-2.0
"""Laws of evidence on disk: nothing is lost, nothing strange is let in."""

import json
import math

import hypothesis
import hypothesis.strategies as st
import pytest

from jaxml.metrics import Evidence, Kind, Unit, from_json, to_json

FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(1, 10**9)
SCALARS = st.text() | FINITE | st.integers(-(2**53), 2**53) | st.booleans()
ENTRIES = {"value": -1.5, "unit": "nats", "kind": "exact", "n": 3}


@hypothesis.given(
    value=FINITE,
    kind=st.sampled_from(Kind),
    n=COUNT,
    standard_error=st.none() | FINITE.map(abs),
    samples=st.none() | COUNT,
    protocol=st.dictionaries(st.text(), SCALARS),
    family=st.text(),
)
def test_json_round_trip(**fields):
    """Evidence written as JSON text and read again is equal in every field."""
    e = Evidence(unit=Unit.BITS_PER_DIM, higher_is_better=False, dim=7, levels=256.0, **fields)
    assert from_json(json.loads(json.dumps(to_json(e), allow_nan=False))) == e


def test_what_may_be_left_out():
    """Four keys are enough; an integer may stand for a real number."""
    e = from_json(ENTRIES | {"value": 2})
    assert e == Evidence(value=2.0, unit=Unit.NATS, kind=Kind.EXACT, n=3)
    assert isinstance(e.value, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valeu": 1}, "unknown key 'valeu'"),
        ({"value": math.nan}, "value to be finite, got nan"),
        ({"value": "1"}, "value to be an integer or a number, got '1'"),
        ({"value": True}, "value to be"),
        ({"value": None}, "value to be"),
        ({"value": 10**400}, "value to fit into 64 bits"),
        ({"n": 3.0}, "n to be an integer, got 3.0"),
        ({"n": True}, "n to be an integer"),
        ({"n": 0}, "n at least 1"),
        ({"unit": "bit"}, "unit to be one of nats, bits, bits/dim, 1, got 'bit'"),
        ({"kind": "guess"}, "kind to be one of exact, lower bound"),
        ({"standard_error": math.inf}, "standard_error to be finite"),
        ({"higher_is_better": 1}, "higher_is_better to be true or false"),
        ({"protocol": {"dataset": [1]}}, "protocol.dataset to be"),
        ({"protocol": {"dataset": None}}, "protocol.dataset to be"),
        ({"protocol": []}, "protocol to be an object"),
        ({"levels": 2, "quantity": "KL"}, "levels 1 for 'KL'"),
    ],
)
def test_strange_json_is_refused_by_name(change, message):
    """Each wrong entry raises a ValueError that begins with where it is and says what is wrong."""
    with pytest.raises(ValueError, match=f"^evidence: .*{message}"):
        from_json(ENTRIES | change)


@pytest.mark.parametrize("name", ENTRIES)
def test_missing_keys_are_named(name):
    """Without one of the four keys there is no evidence."""
    with pytest.raises(ValueError, match=f"the key '{name}' is missing"):
        from_json({k: v for k, v in ENTRIES.items() if k != name})


@pytest.mark.parametrize("entries", [None, [], "x", 3])
def test_only_an_object_is_evidence(entries):
    """Whatever is not an object is refused with its type."""
    with pytest.raises(ValueError, match="expected an object"):
        from_json(entries)
