# SPDX-License-Identifier: Apache-2.0
"""The diffusion model as a solver reads it."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxml import diffusion as d
from jaxml.models import diffusion


def told(x, t, context=None):
    """Takes every x for its context, or for 0."""
    return jnp.zeros_like(x) if context is None else jnp.broadcast_to(context, x.shape)


MODEL = diffusion.Diffusion(told, d.cosine(), parameterization=d.X0, shape=(2,))


def test_a_draw_ends_where_its_own_context_says():
    """With x̂_0 = c every clean end is c, a row a draw; without a context it is 0."""
    c = jnp.asarray([[1.0, 1.0], [-3.0, -3.0], [0.5, 0.5]])
    found = diffusion.sample(MODEL, jax.random.key(0), 3, context=c)
    np.testing.assert_allclose(found, c, atol=1e-6)
    np.testing.assert_allclose(diffusion.sample(MODEL, jax.random.key(0), 3), 0, atol=1e-6)


def test_a_wrapped_denoiser_is_the_one_that_is_solved():
    """Guidance by w goes w times as far from the model without a context."""
    c = jnp.full((3, 2), 0.5)

    def wrap(denoise):
        return d.guided(denoise, diffusion.denoiser(MODEL), 3.0)

    found = diffusion.sample(MODEL, jax.random.key(0), 3, context=c, wrap=wrap)
    np.testing.assert_allclose(found, 1.5, atol=1e-6)


def test_an_output_means_a_pair_that_makes_x():
    """α x̂_0 + σ ε̂ = x, for one time for all rows and for one a row."""
    x = jax.random.normal(jax.random.key(0), (4, 2))
    for t in (jnp.asarray(0.4), jnp.asarray([0.1, 0.4, 0.6, 0.9])):
        noise = d.cosine().at(t)
        clean = diffusion.denoise(MODEL, x, d.Points(t, noise), context=jnp.ones((4, 2)))
        np.testing.assert_allclose(clean.x0, 1)
        np.testing.assert_allclose(d.diffuse(clean.x0, clean.eps, noise), x, atol=1e-5)
