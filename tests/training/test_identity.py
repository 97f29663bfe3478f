# SPDX-License-Identifier: Apache-2.0
"""Laws of what makes two runs the same run."""

from jaxml.training.identity import differences, refused

SAVED = {"config": {"seed": 0, "rate": 0.1, "sizes": [1, 2]}, "data": {"sha256": "ab", "n": 10}}


def test_equal_facts_do_not_differ():
    """The identity of a run is the identity of itself."""
    assert list(differences(SAVED, {**SAVED})) == []


def test_every_difference_is_named_with_both_values():
    """Changed, missing and new keys, a changed type and a list, in sorted order."""
    present = {"config": {"seed": 0.0, "sizes": [1, 3], "new": True}, "data": SAVED["data"]}
    assert list(differences(SAVED, present)) == [
        ("config.new", "config.new: absent in the run, True now"),
        ("config.rate", "config.rate: 0.1 in the run, absent now"),
        ("config.seed", "config.seed: 0 in the run, 0.0 now"),
        ("config.sizes", "config.sizes: [1, 2] in the run, [1, 3] now"),
    ]


def test_a_name_allows_what_is_below_it_and_nothing_beside_it():
    """`data` allows data.n, but neither `dat` nor `data.sha` allows data.sha256."""
    present = {"config": SAVED["config"], "data": {"sha256": "cd", "n": 11}}
    bad, good = refused(SAVED, present, ["data"])
    assert (bad, len(good)) == ([], 2)
    bad, good = refused(SAVED, present, ["dat", "data.sha", "data.n"])
    assert bad == ["data.sha256: 'ab' in the run, 'cd' now"]
    assert good == ["data.n: 10 in the run, 11 now"]
