# SPDX-License-Identifier: Apache-2.0
"""Laws over images: all probabilities together, draws one by one, and completions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.losses.likelihood import bernoulli, discretized_logistic
from jaxml.models.autoregressive import pixel
from jaxml.nn import GatedPixelCNN, PixelCNN


def with_numbers(make):
    """In the default precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(0.5 * rng.normal(size=s.shape)), shapes)


def model_of(shape, law=None, kind=PixelCNN, **options):
    law = pixel.each(bernoulli(), shape[-1]) if law is None else law
    sizes = {"width": 6 * shape[-1], "n_blocks": 2, "first": (3, 3), "n_out": law.n_out} | options
    joint = law.n_groups < shape[-1]
    return pixel.PixelModel(
        with_numbers(lambda: kind(shape, joint=joint, **sizes, rngs=nnx.Rngs(0))), law
    )


KINDS = pytest.mark.parametrize("kind", [PixelCNN, GatedPixelCNN])


@KINDS
@pytest.mark.parametrize("shape", [(3, 3, 1), (2, 2, 2)])
def test_the_probabilities_of_all_images_sum_to_one(shape, kind, x64):
    """All 512 images of 3 x 3 pixels, and all 256 of 2 x 2 pixels in two colours, to 1e-12."""
    every = np.array(list(itertools.product([0.0, 1.0], repeat=int(np.prod(shape)))))
    model = model_of(shape, kind=kind)
    found = jax.jit(pixel.log_prob)(model, jnp.asarray(every.reshape(-1, *shape)))
    assert abs(np.exp(np.asarray(found)).sum() - 1) < 1e-12
    assert np.ptp(found) > 1


@KINDS
@pytest.mark.parametrize("shape", [(4, 5, 1), (3, 2, 3)])
def test_draws_tell_their_own_probability(shape, kind, x64):
    """What is computed pixel by pixel is `log_prob` of the whole image, to 1e-10."""
    model = model_of(shape, kind=kind, n_context=2)
    context = jnp.asarray(np.random.default_rng(1).normal(size=(6, 2)))
    draw = jax.jit(pixel.sample_and_log_prob, static_argnums=2)
    x, told = draw(model, jax.random.key(0), 6, context=context)
    assert set(np.unique(x)) == {0, 1}
    found = jax.jit(pixel.log_prob)(model, x, context=context)
    np.testing.assert_allclose(told, found, atol=1e-10)
    other = jax.jit(pixel.log_prob)(model, x, context=context[::-1])
    assert np.abs(other - found).max() > 1e-3


def test_draws_have_the_law_of_the_model():
    """Frequencies of all 16 images of 2 x 2 pixels in 20,000 draws: χ² below its 1e-4 quantile."""
    model = model_of((2, 2, 1))
    x = jax.jit(pixel.sample, static_argnums=2)(model, jax.random.key(0), 20_000)
    every = jnp.asarray(list(itertools.product([0.0, 1.0], repeat=4))).reshape(-1, 2, 2, 1)
    expected = 20_000 * np.exp(np.asarray(jax.jit(pixel.log_prob)(model, every)))
    number = np.asarray(x).reshape(-1, 4) @ [8, 4, 2, 1]
    seen = np.bincount(number.astype(int), minlength=16)
    assert ((seen - expected) ** 2 / expected).sum() < 44.3  # 15 degrees of freedom


def test_known_pixels_stay_and_the_others_follow_them():
    """A given upper half is kept, and its draws go on with it: log p is of the whole image."""
    model = model_of((4, 4, 1))
    known = jnp.asarray(np.random.default_rng(2).integers(0, 2, (5, 4, 4, 1)), jnp.float32)
    mask = jnp.arange(4)[:, None] < jnp.asarray([[2, 2, 2, 2]])
    draw = jax.jit(pixel.sample_and_log_prob, static_argnums=2)
    x, told = draw(model, jax.random.key(0), 5, known=known, mask=mask)
    np.testing.assert_array_equal(x[:, :2], known[:, :2])
    assert np.abs(np.asarray(x[:, 2:] - known[:, 2:])).sum() > 0
    np.testing.assert_allclose(told, pixel.log_prob(model, x), rtol=1e-4)


def test_levels_of_grey_are_drawn_on_their_scale():
    """A discretized logistic of 17 levels: draws are levels, and pixel by pixel as at once."""
    model = model_of((3, 4, 1), pixel.each(discretized_logistic(n_levels=17)))
    draw = jax.jit(pixel.sample_and_log_prob, static_argnums=2)
    x, told = draw(model, jax.random.key(0), 8)
    levels = (np.asarray(x) + 1) * 8
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-5)
    np.testing.assert_allclose(told, pixel.log_prob(model, x), rtol=1e-4)


def test_a_law_that_couples_colours_sums_to_one_and_is_drawn_from(x64):
    """Mixtures over 3 colours of 3 levels, all 729 images of 1 x 2 pixels; draws tell their law."""
    law = pixel.logistic_mixture(2, 3, n_levels=3)
    model = model_of((1, 2, 3), law)
    levels = [-1.0, 0.0, 1.0]
    every = np.array(list(itertools.product(levels, repeat=6))).reshape(-1, 1, 2, 3)
    found = jax.jit(pixel.log_prob)(model, jnp.asarray(every))
    assert abs(np.exp(np.asarray(found)).sum() - 1) < 1e-9
    draw = jax.jit(pixel.sample_and_log_prob, static_argnums=2)
    x, told = draw(model, jax.random.key(0), 50)
    assert set(np.unique(x)) <= set(levels)
    np.testing.assert_allclose(told, jax.jit(pixel.log_prob)(model, x), atol=1e-10)


def test_the_loss_is_the_mean_cost_of_an_image():
    model = model_of((3, 3, 1))
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (7, 3, 3, 1)), jnp.float32)
    value, metrics = pixel.loss(model, x, jax.random.key(0))
    np.testing.assert_allclose(value, -pixel.log_prob(model, x).mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["bits_per_dim"], value / (9 * np.log(2)), rtol=1e-6)


def test_what_does_not_fit_is_refused():
    network = with_numbers(lambda: PixelCNN((3, 3, 1), 4, 1, 2, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"expected \(1, 1\) outputs and groups a pixel"):
        pixel.PixelModel(network, pixel.each(bernoulli()))
    with pytest.raises(ValueError, match="colours: expected at least 1, got 0"):
        pixel.logistic_mixture(2, 0)
    model = model_of((3, 3, 1))
    with pytest.raises(ValueError, match="x: expected images of shape"):
        pixel.log_prob(model, jnp.zeros((1, 3, 4, 1)))
    with pytest.raises(ValueError, match="expected both or neither"):
        pixel.sample(model, jax.random.key(0), 1, mask=jnp.ones((3, 3), bool))
    with pytest.raises(ValueError, match="known, mask: expected 2 images"):
        pixel.sample(
            model, jax.random.key(0), 2, known=jnp.zeros((1, 3, 3, 1)), mask=jnp.ones((3, 3), bool)
        )
