# SPDX-License-Identifier: Apache-2.0
"""Laws of what is shown and measured of a VAE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import vae_outcome
from jaxml.losses.likelihood import bernoulli
from jaxml.metrics import Kind, Unit
from jaxml.models import vae


@pytest.fixture(scope="module")
def model():
    return vae.mlp(6, (8,), 2, bernoulli(), rngs=nnx.Rngs(0))


def test_a_view_maps_its_range_to_black_and_white():
    """[low, 1] → [0, 1], clipped, in the shape of an image."""
    view = vae_outcome.View((1, 3), low=-1.0)
    shown = view.show(jnp.array([[-1.0, 0.0, 1.0], [-2.0, 0.5, 3.0]]))
    np.testing.assert_allclose(shown, [[[0, 0.5, 1]], [[0, 0.75, 1]]])


def test_evidence_counts_every_test_example_once(model):
    """The last, shorter batch is filled up and cut back: n and the mean are those of the data."""
    x = np.asarray(jax.random.bernoulli(jax.random.key(1), 0.5, (vae_outcome.ROWS + 7, 6)), float)
    x, seen = x.astype(np.float32), []
    tight, bound = vae_outcome.evaluate(
        {"data": "bits"}, x, 40, model, jax.random.key(2), seen.append
    )
    assert seen == [vae_outcome.ROWS, len(x)]
    assert (tight.n, tight.samples, tight.unit, tight.kind) == (
        107,
        40,
        Unit.NATS,
        Kind.LOWER_BOUND,
    )
    assert bound.value < tight.value
    estimate = jax.jit(vae.log_likelihood, static_argnames="n_samples")
    exact = estimate(model, jnp.asarray(x), jax.random.key(3), n_samples=20_000)
    error = np.hypot(0.05, np.asarray(exact).std() / np.sqrt(len(x)))
    assert abs(tight.value - float(exact.mean())) < 4.5 * error


def test_pictures_have_the_shape_of_images(model):
    """Samples, pairs of image and reconstruction, and walks that begin and end at images."""
    view = vae_outcome.View((2, 3))
    x = np.zeros((30, 6), np.float32)
    sheets = vae_outcome.draw(view, x, model, jax.random.key(0))
    assert {name: sheet.images.shape for name, sheet in sheets.items()} == {
        "samples": (100, 2, 3),
        "reconstructions": (60, 2, 3),
        "interpolations": (80, 2, 3),
    }
    pairs = sheets["reconstructions"].images
    np.testing.assert_array_equal(pairs[:10], 0)  # the images themselves
    expected = np.asarray(vae.reconstruct(model, jnp.zeros((1, 6)))).reshape(2, 3)
    np.testing.assert_allclose(pairs[10], expected, atol=1e-6)


def test_a_collapsed_posterior_is_named():
    """No dimension that varies with the data: the report says collapsed."""
    model = vae.mlp(6, (8,), 2, bernoulli(), rngs=nnx.Rngs(0))
    x = np.zeros((20, 6), np.float32)  # equal data cannot move the posterior
    told = vae_outcome.diagnose(x, model, jax.random.key(0))
    assert "0 of 2" in told["active units"]
    assert "collapsed" in told["active units"]
