# SPDX-License-Identifier: Apache-2.0
"""Sizes and paddings against counting, and against what XLA calls SAME."""

import pytest
from jax import lax

from jaxml.layers.convolution_geometry import (
    Geometry,
    causal,
    convolution_size,
    margins,
    per_axis,
    same,
    sides,
    transposed_convolution_size,
    valid,
)

AXES = [
    (n, k, s, d, low, high)
    for n in (1, 4, 7, 8)
    for k in (1, 2, 3, 5)
    for s in (1, 2, 3)
    for d in (1, 2)
    for low, high in ((0, 0), (1, 1), (0, 3), (4, 2))
]


def test_size_counts_windows():
    """The output size is the number of places where a window fits into the padded axis."""
    for n, k, s, d, low, high in AXES:
        starts = range(0, n + low + high - d * (k - 1), s)
        size = convolution_size(n, k, stride=s, padding=(low, high), dilation=d)
        assert max(size, 0) == len(starts), (n, k, s, d, low, high)


def test_transposed_size_inverts_the_size():
    """Among the output paddings below the stride exactly one leads back to the size before."""
    for n, k, s, d, low, high in AXES:
        size = convolution_size(n, k, stride=s, padding=(low, high), dilation=d)
        if size < 1:
            continue
        back = [
            transposed_convolution_size(
                size, k, stride=s, padding=(low, high), output_padding=extra, dilation=d
            )
            for extra in range(s)
        ]
        assert back.count(n) == 1, (n, k, s, d, low, high)


def test_same_is_xla_same():
    """`same` gives ceil(n / s) windows and splits its zeros as XLA does."""
    for n, k, s, d, *_ in AXES:
        extent = d * (k - 1) + 1
        ((low, high),) = same((n,), (extent,), (s,))
        assert [(low, high)] == lax.padtype_to_pads((n,), (extent,), (s,), "SAME")
        assert convolution_size(n, k, stride=s, padding=(low, high), dilation=d) == -(-n // s)


def test_valid_and_causal():
    """`valid` adds nothing; `causal` lets window i end at position i."""
    assert valid((5, 6), (3, 2), (1, 1)) == ((0, 0), (0, 0))
    assert causal((5, 6), (3, 2), (1, 1)) == ((2, 0), (1, 0))
    for n, extent in ((5, 3), (8, 1), (4, 7)):
        ((low, high),) = causal((n,), (extent,), (1,))
        assert (extent - 1) - low == 0
        assert convolution_size(n, extent, padding=(low, high)) == n


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (2, ((2, 2), (2, 2))),
        ((1, 3), ((1, 1), (3, 3))),
        ([(0, 1), 2], ((0, 1), (2, 2))),
        ([[0, 1], [2, -3]], ((0, 1), (2, -3))),
        (same, ((2, 2), (1, 2))),
    ],
)
def test_all_ways_to_write_a_padding(padding, pairs):
    """Numbers, pairs, lists of either, functions."""
    assert margins(padding, (6, 6), (3, 4), (1, 1), (2, 1)) == pairs


def test_bad_sizes_are_named():
    """Errors say which argument and what was expected."""
    with pytest.raises(ValueError, match="stride must be one number or 2"):
        per_axis("stride", (1, 2, 3), 2, least=1)
    with pytest.raises(ValueError, match="at least 1"):
        per_axis("dilation", 0, 2, least=1)
    with pytest.raises(ValueError, match="padding must be"):
        sides((1, 2, 3), 2)
    with pytest.raises(ValueError, match="padding must be"):
        sides(((1, 2, 3), 1), 2)


def test_geometry_is_hashable():
    """Geometries are keys: equal ones compile once."""
    a = Geometry((5,), (3,), (1,), ((1, 1),), (1,), 1)
    assert hash(a) == hash(a._replace())
    assert a.output == (5,)
