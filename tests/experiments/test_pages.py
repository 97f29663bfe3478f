# SPDX-License-Identifier: Apache-2.0
"""The report's panels hold what the run's logs hold."""

import numpy as np
import pytest

from experiments import pages
from jaxml.training import log


def write(path, steps, **columns):
    with path.open("w") as file:
        for i, step in enumerate(steps):
            log.append(file, step, {name: np.array([c[i]]) for name, c in columns.items()})


@pytest.mark.parametrize(("length", "unit", "size"), [(400.0, "minutes", 60), (40.0, "seconds", 1)])
def test_validation_is_drawn_over_time(tmp_path, length, unit, size):
    """The first number at the times of the steps that both logs have."""
    write(tmp_path / pages.VALIDATION, [10, 20, 30], bits=[3.0, 2.0, 1.5], other=[0.0, 0.0, 0.0])
    write(tmp_path / pages.TIMES, [20, 30], seconds=[length / 2, length])
    ((title, group),) = pages.against_time(tmp_path).items()
    assert title == f"bits against {unit}"
    x, y, axis = group["validation"]
    np.testing.assert_allclose(x, [length / 2 / size, length / size])
    np.testing.assert_allclose(y, [2.0, 1.5])
    assert axis == unit


def test_without_times_there_is_no_such_panel(tmp_path):
    assert pages.against_time(tmp_path) == {}
    write(tmp_path / pages.VALIDATION, [10, 20], bits=[3.0, 2.0])
    assert pages.against_time(tmp_path) == {}
    write(tmp_path / pages.TIMES, [20], seconds=[1.0])
    assert pages.against_time(tmp_path) == {}
