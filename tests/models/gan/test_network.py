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


def test_attention_begins_as_nothing_and_then_sees_everything():
    """At first the images are those without it; with its gates open a pixel moves all of them."""
    sizes = (8, 8, 1), (4, 8), 16, 5
    plain = gan.convolutional(*sizes, rngs=nnx.Rngs(0))
    model = gan.convolutional(*sizes, attention=(1,), rngs=nnx.Rngs(0))
    low = model.critic.down
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))
    touched = x.at[0, 0, 0].add(1.0)

    @jax.jit
    def moved(down):
        return jnp.abs(down(touched) - down(x)).sum(-1)[0]

    assert moved(low)[1, 1] == 0
    low.attention["stage_1"].gate.set_value(jnp.ones(()))
    assert (moved(low) > 0).all()
    assert model.generator.network.up.attention.keys() == {"stage_0"}
    assert len(plain.critic.down.attention) == 0
    with pytest.raises(ValueError, match="attention: expected stages from 0 to 1, got 2"):
        gan.convolutional(*sizes, attention=(2,), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("attention", [(), (0,)])
def test_a_critic_that_projects_scores_by_class(attention):
    """The difference of two classes' scores is linear in what is seen; spectral norms reach it."""
    options = {"n_context": 3, "projection": True, "attention": attention}
    model = gan.convolutional(
        (8, 8, 1), (4, 8), 16, 5, **options, spectral_critic=True, rngs=nnx.Rngs(0)
    )
    x = gan.sample(model, jax.random.key(0), 3, context=jnp.eye(3))
    scores = jax.jit(gan.score)(model, x, jnp.eye(3))
    both = jax.jit(gan.score)(model, x, jnp.eye(3)[::-1])
    assert scores.shape == (3,)
    assert np.abs(scores - both)[0] > 0
    wrapped = [part for _, part in nnx.iter_modules(model.critic) if isinstance(part, Spectral)]
    assert len(wrapped) == 6 + 2 * len(attention)
    with pytest.raises(ValueError, match="n_context"):
        gan.convolutional((8, 8, 1), (4,), 16, 5, projection=True, rngs=nnx.Rngs(0))


def test_resizing_leaves_less_of_a_checkerboard_than_a_transposed_convolution():
    """At the start, where 4 x 4 taps at stride 2 meet every position but not with equal weights."""
    found = {}
    for resize in (False, True):
        model = gan.convolutional((16, 16, 1), (8, 8), 32, 8, resize=resize, rngs=nnx.Rngs(0))
        found[resize] = float(checkerboard(gan.sample(model, jax.random.key(0), 200)))
    assert max(found.values()) < 0.6
    assert found[True] < found[False]
