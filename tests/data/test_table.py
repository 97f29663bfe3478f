# SPDX-License-Identifier: Apache-2.0
"""Tables: what was written is read, and what is no number is named by line and column."""

import numpy as np
import pytest

from jaxml.data.error import DataError
from jaxml.data.table import read_table


@pytest.fixture
def read(tmp_path):
    def write_and_read(text, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(path, **options)

    return write_and_read


def test_numbers_survive_the_round_trip_exactly(read):
    value = np.random.default_rng(0).normal(size=(20, 3)) * 10.0 ** np.arange(-150, 150, 100)
    text = "\n".join(",".join(repr(float(cell)) for cell in row) for row in value)
    np.testing.assert_array_equal(read(text).values, value)


@pytest.mark.parametrize(
    ("text", "columns", "values"),
    [
        ("a,b\n1,2\n3,4\n", ("a", "b"), [[1, 2], [3, 4]]),
        ("a,2020\n1,2\n", ("a", "2020"), [[1, 2]]),
        ("1,2\n3,4", ("column_0", "column_1"), [[1, 2], [3, 4]]),
        ('"a ""x""","b,c"\r\n1,2\r\n', ('a "x"', "b,c"), [[1, 2]]),
        ("\ufeffa,b\n1,2\n\n3,4\n\n", ("a", "b"), [[1, 2], [3, 4]]),
        (" 1 , +.5e1 \n-3.,4E-2\n", ("column_0", "column_1"), [[1, 5], [-3, 0.04]]),
    ],
)
def test_headers_are_detected(read, text, columns, values):
    table = read(text)
    assert table.columns == columns
    np.testing.assert_array_equal(table.values, values)


def test_the_header_may_be_stated(read):
    assert read("1,2\n3,4", header=True).columns == ("1", "2")
    assert read("1,2\n3,4", header=True).values.tolist() == [[3, 4]]
    with pytest.raises(DataError, match="line 1: 'column_0' is 'a', not a number"):
        read("a,b\n3,4", header=False)


def test_missing_values_are_nan_only_when_asked_for(read):
    text = "a,b\n1,?\n,2\nNA,nan\n"
    np.testing.assert_array_equal(
        read(text, missing=True).values, [[1, np.nan], [np.nan, 2], [np.nan, np.nan]]
    )
    with pytest.raises(DataError, match="line 2 has no value for 'b'"):
        read(text)


def test_other_delimiters(read):
    assert read("a;b\n1;2", delimiter=";").values.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "has a header but no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cells, expected 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, expected 2"),
        ("a,b\n1,x\n", "line 2: 'b' is 'x', not a number"),
        ("a,b\n1,1_000\n", "line 2: 'b' is '1_000'"),
        ("a,b\n1,inf\n", "line 2: 'b' is 'inf'"),
        ("a,b\n1,1e999\n", "the table holds inf in row 0"),
        ("a,b\n1,\u0661\n", "line 2: 'b' is"),
        ("a,a\n1,2\n", "has two columns named 'a'"),
        (b"a,b\n1,\xff\n", "is damaged"),
        ('a,b\n1,"2\n', "is damaged"),
        (b"a,b\n1,2\0\n", "t.csv: "),
        ("a,b\n1," + "9" * 200_000 + "\n", "t.csv: "),
    ],
)
def test_damage_is_named(read, text, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(text)
    assert "\n" not in str(caught.value)
