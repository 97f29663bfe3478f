# SPDX-License-Identifier: Apache-2.0
"""The places of the modes are those of the densities."""

import jax
import numpy as np
import pytest

from experiments import gan_ring
from jaxml.metrics import mode_coverage


@pytest.mark.parametrize(("data", "n_modes"), [("ring", 8), ("grid", 25)])
def test_draws_of_the_data_find_every_mode(data, n_modes):
    """1 − e^(−4.5) of them within three of the modes' own standard deviations, 4.5 s.e.

    On the ring, where modes touch, a few more are near another mode than their own.
    """
    density, centers, scale = gan_ring.places(data)
    assert centers.shape == (n_modes, 2)
    n = 20_000
    found = mode_coverage(density.sample(jax.random.key(0), n), centers, scale)
    share = 1 - np.exp(-4.5)
    assert found.found.all()
    assert abs(found.quality - share) < 4.5 * np.sqrt(share * (1 - share) / n)
    assert found.effective > 0.99 * n_modes
