# SPDX-License-Identifier: Apache-2.0
"""Image flows at several resolutions, against the Jacobian of the whole map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import bijections
from jaxml.bijections import squeeze
from jaxml.nn import Chain, Coupling, Learned, MultiScale, PointwiseNet, Squeezed
from jaxml.nn.elementwise import affine

RNG = np.random.default_rng(0)


def disturbed(module):
    """Float64, and away from the identity that couplings begin as."""
    return jax.tree.map(lambda a: jnp.asarray(a + 0.3 * RNG.normal(size=a.shape)), module)


def coupling(n, n_context=0):
    network = PointwiseNet(n - n // 2, 6, 2 * (n // 2), n_context=n_context, rngs=nnx.Rngs(0))
    return Coupling(network, affine(), event=3)


def two_levels(n_context=0):
    first = Chain([Learned(squeeze(2)), coupling(4, n_context)])
    second = Chain([Learned(squeeze(2)), coupling(8, n_context)])
    return disturbed(MultiScale((4, 4, 1), [first, second], n_context=n_context))


def test_parts_are_done_level_by_level(x64):
    """Levels without parameters only move numbers: z holds every pixel once, the finest first."""
    levels = [Chain([Learned(squeeze(2))]), Chain([Learned(squeeze(2))])]
    model = MultiScale((4, 4, 1), levels)
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    z, log_det = model.forward(x)
    # Four channels a block of 2 × 2 pixels, in rows; the lower row of each block is done first.
    finest, coarsest = (np.asarray(part) for part in model.parts(z))
    assert finest.shape == (1, 2, 2, 2)
    assert coarsest.shape == (1, 1, 1, 8)
    np.testing.assert_array_equal(finest.ravel(), [4, 5, 6, 7, 12, 13, 14, 15])
    np.testing.assert_array_equal(np.sort(z[0]), np.arange(16))
    assert log_det.shape == () or not log_det.any()


@pytest.mark.parametrize("n_context", [0, 3])
def test_the_log_determinant_is_that_of_the_jacobian(n_context, x64):
    """log |det ∂z/∂x| by the 16 × 16 Jacobian, and the way back undoes both."""
    model = two_levels(n_context)
    x = jnp.asarray(RNG.normal(size=(3, 4, 4, 1)))
    context = jnp.asarray(RNG.normal(size=(3, n_context))) if n_context else None

    def one(x, c):
        z, log_det = model.forward(x[None], None if c is None else c[None])
        return z[0], log_det[0]

    @jax.jit
    def everything(x, context):
        z, log_det = model.forward(x, context)
        back, log_det_back = model.inverse(z, context)
        jacobian = jax.vmap(jax.jacfwd(lambda x, c: one(x, c)[0]))(x, context)
        expected = jnp.linalg.slogdet(jacobian.reshape(3, 16, 16))[1]
        return log_det, expected, log_det_back, back

    log_det, expected, log_det_back, back = everything(x, context)
    np.testing.assert_allclose(log_det, expected, rtol=1e-10)
    np.testing.assert_allclose(log_det_back, -log_det, rtol=1e-10)
    np.testing.assert_allclose(back, x, atol=1e-10)
    assert np.abs(log_det).min() > 1e-2


def test_a_squeezed_layer_acts_at_half_the_resolution(x64):
    """It is unsqueeze ∘ layer ∘ squeeze, its context squeezed too where that is an image."""
    layer = disturbed(coupling(4, n_context=8))
    whole = Squeezed(layer)
    x, image = (jnp.asarray(RNG.normal(size=(2, 4, 4, c))) for c in (1, 2))
    fold, unfold, _ = squeeze(2)
    expected, log_det = layer.forward(fold(x, ())[0], fold(image, ())[0])
    y, found = whole.forward(x, image)
    np.testing.assert_allclose(y, unfold(expected, ())[0], rtol=1e-12)
    np.testing.assert_allclose(found, log_det, rtol=1e-12)
    np.testing.assert_allclose(whole.inverse(y, image)[0], x, atol=1e-12)
    vector = jnp.asarray(RNG.normal(size=(2, 8)))
    assert np.abs(whole.forward(x, vector)[0] - y).max() > 1e-3


def test_bad_levels_are_refused():
    with pytest.raises(ValueError, match="levels: expected at least one"):
        MultiScale((4, 4, 1), [])
    reverse = Learned(bijections.Bijection(bijections.reverse, bijections.reverse, 1))
    with pytest.raises(ValueError, match="level 0 leaves 1 channel"):
        MultiScale((4, 4, 1), [Chain([reverse]), Chain([reverse])])
