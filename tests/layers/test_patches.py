# SPDX-License-Identifier: Apache-2.0
"""A convolution is a matrix product, and which of its matrices is Toeplitz."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from jaxml.layers import convolution, convolution_size, transposed_convolution
from jaxml.layers.patches import kernel_matrix, patches

RNG = np.random.default_rng(0)


def draw(*shape):
    return jnp.asarray(RNG.normal(size=shape))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_the_patches_times_the_kernel(stride, x64):
    """y = P K, and an image of n × n has (n − k + 1)² patches of k² numbers."""
    x, kernel = draw(2, 7, 6, 3), draw(3, 2, 3, 4)
    found = patches(x, (3, 2), stride=stride) @ kernel.reshape(-1, 4)
    np.testing.assert_allclose(found, convolution(x, kernel, stride=stride), rtol=1e-12, atol=1e-13)
    assert patches(draw(1, 9, 9, 1), (3, 3)).reshape(-1, 9).shape == ((9 - 3 + 1) ** 2, 9)


def test_a_convolution_is_the_matrix_of_the_kernel_times_the_image(x64):
    """T vec(x) = vec(y), and the transposed convolution is Tᵀ."""
    x, kernel, y = draw(1, 5, 6, 2), draw(3, 2, 2, 3), draw(1, 3, 5, 3)
    matrix = kernel_matrix(kernel, (5, 6))
    np.testing.assert_allclose(matrix @ x.ravel(), convolution(x, kernel).ravel(), rtol=1e-12)
    back = transposed_convolution(y, kernel)
    np.testing.assert_allclose(matrix.T @ y.ravel(), back.ravel(), rtol=1e-12, atol=1e-13)


def test_the_kernels_matrix_is_toeplitz_and_the_patches_are_not(x64):
    """One axis, one channel: SciPy's Toeplitz matrix of the kernel."""
    kernel, x = draw(3, 1, 1), draw(1, 7, 1)
    row = np.concatenate([kernel.ravel(), np.zeros(4)])
    expected = scipy.linalg.toeplitz(np.concatenate([row[:1], np.zeros(4)]), row)
    np.testing.assert_array_equal(kernel_matrix(kernel, (7,)), expected)
    rows = np.asarray(patches(x, (3,))[0])
    assert np.abs(rows[1:, 1:] - rows[:-1, :-1]).max() > 0.1


def test_the_convolution_of_mathematics_commutes(x64):
    """Σ x(a) w(t − a) with the kernel flipped: SciPy's convolve2d. The deep one does not."""
    x, w = draw(6, 5), draw(3, 4)

    def full(a, b, flip):
        pads = [(k - 1, k - 1) for k in b.shape]
        y = convolution(a[None, ..., None], b[..., None, None], padding=pads, flip_kernel=flip)
        return y[0, ..., 0]

    np.testing.assert_allclose(full(x, w, True), scipy.signal.convolve2d(x, w), rtol=1e-11)
    np.testing.assert_allclose(full(x, w, True), full(w, x, True), rtol=1e-11)
    np.testing.assert_allclose(full(x, w, False), scipy.signal.correlate2d(x, w), rtol=1e-11)
    assert np.abs(full(x, w, False) - full(w, x, False)).max() > 0.1


def test_sizes_count_padding_per_side_or_in_total():
    """⌊(n − k + p + s)/s⌋ with p in total is ⌊(n + 2q − k)/s⌋ + 1 with q per side."""
    for n, k, s, q in [(7, 3, 2, 1), (28, 4, 2, 1), (9, 2, 3, 0), (5, 5, 1, 2)]:
        found = convolution_size(n, k, stride=s, padding=(q, q))
        assert found == (n - k + 2 * q + s) // s
        if (n - k) % s == 0 and q == 0:
            assert found == (n - k) // s + 1


def test_a_window_as_large_as_the_image_fits(x64):
    """One patch and one row, the image itself."""
    x, kernel = draw(1, 3, 4, 2), draw(3, 4, 2, 5)
    np.testing.assert_array_equal(patches(x, (3, 4)), x.reshape(1, 1, 1, -1))
    np.testing.assert_array_equal(kernel_matrix(kernel, (3, 4)), kernel.reshape(-1, 5).T)


def test_windows_that_do_not_fit_are_refused():
    for build in (lambda: patches(draw(1, 3, 1), (4,)), lambda: kernel_matrix(draw(4, 1, 1), (3,))):
        with pytest.raises(ValueError, match="does not fit"):
            build()
