# SPDX-License-Identifier: Apache-2.0
"""The objectives are finite where they should be, never elsewhere, and the same transformed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.losses import likelihood
from jaxml.models import vae


class Constant(nnx.Module):
    """A network whose output is one row of parameters, whatever goes in."""

    def __init__(self, row):
        self.row = nnx.Param(row)

    def __call__(self, x):
        return jnp.broadcast_to(self.row[...][None], (x.shape[0], self.row.shape[0]))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_losses_and_gradients_are_finite_for_any_raw_head(dtype):
    """Every head in ±{0, 1, 20, 89, 1e4}, x from 0 to 1e4: all objectives, values and gradients."""
    edges = jnp.array([0.0, 1, -1, 20, -20, 89, -89, 1e4, -1e4])
    x = jnp.array([[0.0], [1e-30], [1.0], [1e2], [1e4]])
    objectives = [
        vae.loss,
        partial(vae.iwae_loss, n_samples=3),
        partial(vae.dreg_loss, n_samples=3),
    ]

    @jax.jit
    @jax.vmap
    def finite(mean, log_variance, a, b):
        encoder = Constant(jnp.stack([mean, log_variance]).astype(dtype))
        decoder = Constant(jnp.stack([a, b]).astype(dtype))
        model = vae.VAE(encoder, decoder, likelihood.normal(), n_latent=1)
        runs = [
            jax.value_and_grad(f, has_aux=True)(model, x, jax.random.key(0)) for f in objectives
        ]
        leaves = jax.tree.leaves([(value, gradient) for (value, _), gradient in runs])
        return jnp.stack([jnp.isfinite(v.astype(jnp.float32)).all() for v in leaves]).all()

    assert finite(*(g.ravel() for g in jnp.meshgrid(*[edges] * 4))).all()


def every_objective(model, x, key, objectives=(vae.loss, vae.iwae_loss, vae.dreg_loss)):
    """The values of the objectives."""
    keys = [jax.random.fold_in(key, i) for i in range(len(objectives))]
    return jnp.stack([f(model, x, k)[0] for f, k in zip(objectives, keys, strict=True)])


def test_bad_input_is_never_a_finite_loss(small):
    """NaN or inf in one element of x makes every objective non-finite."""
    model, x = small
    values = jax.jit(lambda x: every_objective(model, x, jax.random.key(0)))
    assert np.isfinite(values(x)).all()
    for bad in (np.nan, np.inf, -np.inf):
        broken = np.array(x)
        broken[1, 2] = bad
        assert not np.isfinite(values(jnp.asarray(broken))).any()


@pytest.mark.slow
def test_objectives_are_the_same_under_every_transformation(small):
    """Under jit alone, or under jit, scan, vmap and checkpoint at once: equal values and slopes."""
    model, x = small
    two = (vae.loss, vae.dreg_loss)  # the weights of DReG are those of IWAE

    def objective(x, key):
        values = every_objective(model, x, key, two)
        return jnp.sum(values), values

    def keys():
        return jax.random.split(jax.random.key(0), (2, 3))

    def slope(x, key):
        return jax.grad(jax.checkpoint(objective), has_aux=True)(x, key)

    every_key = jax.vmap(slope, (None, 0))
    every_row = jax.jit(lambda k: jax.lax.map(partial(every_key, x), k))(keys())
    gradient, values = map(np.asarray, every_row)
    plain = jax.jit(jax.grad(objective, has_aux=True))
    for i, j in np.ndindex(2, 3):
        expected, expected_values = plain(x, keys()[i, j])
        np.testing.assert_allclose(gradient[i, j], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(values[i, j], expected_values, rtol=1e-5)


@pytest.mark.parametrize(
    "objective", [vae.loss, pytest.param(vae.dreg_loss, marks=pytest.mark.slow)]
)
def test_objectives_need_no_compiler(objective, small):
    """Operation by operation: the value and the metrics under jit."""
    model, x = small
    value, metrics = objective(model, x, jax.random.key(1))
    expected, others = jax.jit(objective)(model, x, jax.random.key(1))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), metrics, others)
