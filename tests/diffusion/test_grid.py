# SPDX-License-Identifier: Apache-2.0
"""Grids fall from 1 to their end in the way that their name says."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from jaxml.diffusion import grid

N, LAST = 20, 0.01


def test_levels_are_equally_spaced_in_what_a_grid_is_named_for(x64):
    """t, √t, the log-SNR, and (σ/α)^(1/ρ); from 1 to the last time."""
    schedule = d.cosine()
    cases = {
        "t": (grid.uniform(N, LAST), lambda t: t),
        "root": (grid.quadratic(N, LAST), jnp.sqrt),
        "level": (grid.log_snr(schedule, N, LAST), lambda t: schedule.at(t).log_snr),
        "karras": (
            grid.karras(schedule, N, LAST, 5.0),
            lambda t: jnp.exp(-0.1 * schedule.at(t).log_snr),
        ),
    }
    for times, of in cases.values():
        assert times.shape == (N + 1,)
        np.testing.assert_allclose(times[jnp.asarray([0, -1])], [1.0, LAST], rtol=1e-9)
        steps = np.diff(np.asarray(of(times)))
        np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_the_grid_of_karras_is_uniform_in_the_time_of_edm(x64):
    np.testing.assert_allclose(
        grid.karras(d.edm(), N, LAST), grid.uniform(N, LAST), rtol=1e-9, atol=1e-12
    )


def test_times_are_found_and_ends_are_kept(x64):
    """Log-SNRs beyond those of the schedule give its ends."""
    schedule, t = d.cosine(), jnp.linspace(0.0, 1.0, 11)
    np.testing.assert_allclose(grid.time_of(schedule, schedule.at(t).log_snr), t, atol=1e-12)
    np.testing.assert_allclose(
        grid.time_of(schedule, jnp.asarray([99.0, -99.0])), [0, 1], atol=1e-12
    )


def test_a_clean_end_has_no_noise():
    found = d.points(d.edm(), grid.uniform(3))
    assert found.t.shape == (5,)
    np.testing.assert_array_equal(found.noise.alpha[-1], 1)
    np.testing.assert_array_equal(found.noise.sigma[-1], 0)
    assert jnp.isposinf(found.noise.log_snr[-1])
    assert d.points(d.edm(), grid.uniform(3), clean=False).t.shape == (4,)


def test_bad_numbers_are_refused():
    for make in (grid.uniform, grid.quadratic):
        with pytest.raises(ValueError, match="n_steps"):
            make(0)
        with pytest.raises(ValueError, match="last"):
            make(3, 1.0)
    for make in (grid.log_snr, grid.karras):
        with pytest.raises(ValueError, match="keeps some signal"):
            make(d.rectified(), 3)
    with pytest.raises(ValueError, match="power"):
        grid.karras(d.edm(), 3, 0.1, 0.0)
