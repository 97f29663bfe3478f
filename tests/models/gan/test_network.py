# SPDX-License-Identifier: Apache-2.0
"""Networks of GANs: shapes, contexts, and critics that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.metrics import checkerboard
from jaxml.models import gan
from jaxml.nn import Spectral


def test_two_mlps_have_the_shapes_of_their_data():
    model = gan.mlp(5, (8, 8), 3, rngs=nnx.Rngs(0))
    x = gan.sample(model, jax.random.key(0), 4)
    assert x.shape == (4, 5)
    assert gan.score(model, x).shape == (4,)
    assert x.dtype == jnp.float32


def test_a_context_is_one_more_input_of_both():
    """Each output depends on its own row of the context, and on no other."""
    model = gan.mlp(5, (8,), 3, n_context=2, rngs=nnx.Rngs(0))
    z, c = jnp.ones((4, 3)), jnp.eye(2)[jnp.asarray([0, 0, 1, 1])]
    x = gan.generate(model, z, c)
    same = np.asarray(x)
    np.testing.assert_array_equal(same[0], same[1])
    assert np.abs(same[1] - same[2]).max() > 1e-3
    scores = np.asarray(gan.score(model, jnp.ones((4, 5)), c))
    assert scores[0] == scores[1] != scores[2]
    with pytest.raises((TypeError, ValueError)):
        gan.generate(model, z)


def test_scores_are_one_an_example():
    model = gan.mlp(5, (8,), 3, rngs=nnx.Rngs(0))
    wrong = gan.GAN(model.generator, lambda x, context: x, 3)
    with pytest.raises(ValueError, match="critic"):
        gan.score(wrong, jnp.ones((4, 5)))
    flat = gan.GAN(model.generator, lambda x, context: x[:, 0], 3)
    np.testing.assert_array_equal(gan.score(flat, jnp.ones((4, 5))), np.ones(4))


@pytest.mark.parametrize("resize", [False, True])
@pytest.mark.parametrize("spectral_critic", [False, True])
def test_two_pyramids_have_the_shapes_of_their_images(resize, spectral_critic):
    """Images inside (−1, 1), one score each, a context for both; batch members do not mix."""
    options = {"resize": resize, "spectral_critic": spectral_critic, "n_context": 3}
    model = gan.convolutional((8, 8, 2), (4, 8), 16, 5, **options, rngs=nnx.Rngs(0))
    c = jnp.eye(3)
    x = gan.sample(model, jax.random.key(0), 3, context=c)
    assert x.shape == (3, 8, 8, 2)
    assert (jnp.abs(x) < 1).all()
    scores = gan.score(model, x, c)
    np.testing.assert_allclose(scores[:1], gan.score(model, x[:1], c[:1]), rtol=1e-5)
    assert np.abs(scores - gan.score(model, x, c[::-1]))[0] > 0
    wrapped = [part for _, part in nnx.iter_modules(model) if isinstance(part, Spectral)]
    assert len(wrapped) == (4 if spectral_critic else 0)


def test_resizing_leaves_less_of_a_checkerboard_than_a_transposed_convolution():
    """At the start, where 4 x 4 taps at stride 2 meet every position but not with equal weights."""
    found = {}
    for resize in (False, True):
        model = gan.convolutional((16, 16, 1), (8, 8), 32, 8, resize=resize, rngs=nnx.Rngs(0))
        found[resize] = float(checkerboard(gan.sample(model, jax.random.key(0), 200)))
    assert max(found.values()) < 0.6
    assert found[True] < found[False]
