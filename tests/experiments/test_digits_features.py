# SPDX-License-Identifier: Apache-2.0
"""The ruler for drawn digits: what it says of images that are known."""

import numpy as np

from experiments import digits_features
from jaxml.data import digits


def test_real_digits_are_near_and_noise_is_far():
    """The test images themselves 0, training images a little, noise a hundred times as much."""
    _, _, test = digits()
    own = digits_features.distance(test["x"], "data", "themselves")
    memory = digits_features.memory()
    noise = np.random.default_rng(0).random((500, 8, 8, 1))
    far = digits_features.distance(noise, "noise", "uniform")
    assert abs(own.value) < 1e-6
    assert 0 < memory.value < 0.01 * far.value
    assert not far.higher_is_better
    assert memory.n == 1300
