# SPDX-License-Identifier: Apache-2.0
"""The diffusion of bits against products of its two by two transition matrices."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.diffusion import (
    binomial_betas,
    binomial_jump,
    binomial_posterior,
    binomial_step,
    kept,
)

T = 7
BITS = np.array([0.0, 1.0])


def matrices(betas):
    """M[a, b] = q(x_t = b | x_{t−1} = a)."""
    ones = np.asarray(binomial_step(jnp.asarray(BITS)[None], jnp.asarray(betas)[:, None]))
    return np.stack([1 - ones, ones], -1)


def test_a_step_keeps_the_fair_coin_and_draws_toward_it(x64):
    """π = (½, ½) is stationary: ∫ π(y′) T(y | y′) dy′ = π(y); β = 1 forgets, β = 0 keeps."""
    for step in matrices(binomial_betas(T)):
        np.testing.assert_allclose([0.5, 0.5] @ step, [0.5, 0.5], rtol=1e-14)
        np.testing.assert_allclose(step.sum(1), 1, rtol=1e-14)
    x = jnp.asarray(BITS)
    np.testing.assert_array_equal(binomial_step(x, jnp.asarray(1.0)), 0.5)
    np.testing.assert_array_equal(binomial_step(x, jnp.asarray(0.0)), x)


def test_a_jump_is_the_product_of_its_steps(x64):
    """q(x_t | x_0) for every t, and a T-th part less of the data with each."""
    betas = binomial_betas(T)
    product, left = np.eye(2), np.asarray(kept(betas))
    np.testing.assert_allclose(left, 1 - np.arange(T + 1) / T, atol=1e-14)
    for t, step in enumerate(matrices(betas), 1):
        product = product @ step
        jump = binomial_jump(jnp.asarray(BITS), jnp.asarray(left[t]))
        np.testing.assert_allclose(jump, product[:, 1], rtol=1e-12)


def test_the_posterior_is_that_of_bayes(x64):
    """All x_t and x_0 at every t, by the joint law of three times; at t = 1 it is x_0."""
    betas = binomial_betas(T)
    left, before = np.asarray(kept(betas)), np.eye(2)
    for t, step in enumerate(matrices(betas), 1):
        joint = before[:, :, None] * step[None]  # x_0, x_{t−1}, x_t
        truth = joint[:, 1] / joint.sum(1)
        x0, x = (jnp.asarray(a) for a in np.meshgrid(BITS, BITS, indexing="ij"))
        part = jnp.asarray(betas[t - 1]), jnp.asarray(left[t - 1])
        np.testing.assert_allclose(binomial_posterior(x, x0, *part), truth, rtol=1e-12, atol=1e-14)
        if t == 1:
            np.testing.assert_array_equal(binomial_posterior(x, x0, *part), x0)
        before = before @ step


@pytest.mark.parametrize("n_steps", [1, 2, 10, 1000])
def test_every_length_ends_with_a_fair_coin(n_steps):
    betas = binomial_betas(n_steps)
    assert betas.shape == (n_steps,)
    assert ((betas > 0) & (betas <= 1)).all()
    left = kept(betas)
    assert (jnp.diff(left) < 0).all()
    assert left[-1] == 0
    assert jnp.isfinite(
        binomial_posterior(jnp.ones(n_steps), jnp.zeros(n_steps), betas, left[:-1])
    ).all()


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="n_steps"):
        binomial_betas(0)
