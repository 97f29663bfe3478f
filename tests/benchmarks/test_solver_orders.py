# SPDX-License-Identifier: Apache-2.0
"""The picture of solver orders is drawn from what was measured."""

import pytest

from benchmarks import solver_orders


@pytest.mark.slow
def test_the_table_and_the_picture_show_every_solver(tmp_path):
    """At three short lengths: a row and a line for each, and errors that fall."""
    sizes = (8, 16, 32)
    found = solver_orders.errors(sizes)
    for lines in found.values():
        assert all(0 < values[-1] < values[0] for values in lines.values())
    rows = solver_orders.table(found, sizes).splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == list(solver_orders.LINES)
    path = tmp_path / "orders.png"
    solver_orders.picture(found, path, sizes)
    assert path.stat().st_size > 10_000


def test_a_slope_is_read_off_the_fitted_sizes_alone():
    """Errors of exact second order from 64 on, whatever they were before."""
    sizes = solver_orders.SIZES
    values = [1.0 if n < 64 else 7.0 / n**2 for n in sizes]
    assert abs(solver_orders.slope(sizes, values) - 2) < 1e-12
