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


def test_classes_are_counted_as_the_classifier_sees_them():
    """Of the test images all ten, the rarest about as often as in truth; of zeros only one."""
    _, _, test = digits()
    images = test["x"].reshape(-1, 8, 8, 1)
    found = [evidence.value for evidence in digits_features.classes(images, "data")]
    true = np.bincount(test["y"], minlength=10).min() / len(test["y"])
    assert found[0] == 10
    assert abs(found[1] - true) < 0.02
    zeros = images[np.asarray(test["y"]) == 0][:20]
    assert [evidence.value for evidence in digits_features.classes(zeros, "data")] == [1, 0]
