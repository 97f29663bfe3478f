# SPDX-License-Identifier: Apache-2.0
"""The ruler for drawn images: what it says of images that are known."""

import numpy as np

from experiments import judge
from jaxml.data import digits


def test_real_digits_are_near_and_noise_is_far():
    """The test images themselves 0, training images a little, noise a hundred times as much."""
    ruler = judge.of_digits()
    own = judge.distance(ruler, ruler.test, "data", "themselves")
    memory = judge.memory(ruler)
    noise = np.random.default_rng(0).random((500, 8, 8, 1))
    far = judge.distance(ruler, noise, "noise", "uniform")
    assert abs(own.value) < 1e-6
    assert 0 < memory.value < 0.01 * far.value
    assert not far.higher_is_better
    assert memory.n == 1300
    assert 0 < memory.standard_error < memory.value
    few = judge.distance(ruler, ruler.train[:3], "data", "three of them")
    assert few.standard_error is None


def test_classes_are_counted_as_the_classifier_sees_them():
    """Of the test images all ten, the rarest about as often as in truth; of zeros only one."""
    ruler, y = judge.of_digits(), digits()[2]["y"]
    found = [evidence.value for evidence in judge.coverage(ruler, ruler.test, "data")]
    true = np.bincount(y, minlength=10).min() / len(y)
    assert found[0] == 10
    assert abs(found[1] - true) < 0.02
    zeros = ruler.test[y == 0][:20]
    assert [evidence.value for evidence in judge.coverage(ruler, zeros, "data")] == [1, 0]


def test_agreement_is_the_share_of_classes_that_were_asked_for():
    ruler, y = judge.of_digits(), digits()[2]["y"]
    right = judge.agreement(ruler, ruler.test, y, "data")
    assert right.value > 0.95
    assert judge.agreement(ruler, ruler.test, (y + 1) % 10, "data").value < 0.02
    expected = np.sqrt(right.value * (1 - right.value) / len(y))
    np.testing.assert_allclose(right.standard_error, expected, rtol=1e-12)
