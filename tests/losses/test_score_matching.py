# SPDX-License-Identifier: Apache-2.0
"""Score matching: traces by Jacobians, optima in closed form, and what each form is worth."""

from functools import partial

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from jaxml.losses import score_matching


def data(n=200, d=3, seed=0):
    """n points, centred, of a known covariance."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    x = x - x.mean(0)
    return jnp.asarray(x), x.T @ x / n


def linear(A):
    return lambda x: -x @ A.T


def curved(x):
    """A score with a full Jacobian that changes from place to place."""
    flat = x.reshape(len(x), -1)
    return (jnp.sin(flat @ jnp.asarray(MIX)) + flat**3).reshape(x.shape)


MIX = np.random.default_rng(3).normal(size=(4, 4))


def test_the_implicit_cost_is_its_definition(x64):
    """½‖s‖² plus the trace of the whole Jacobian, for events of any shape."""
    x = jnp.asarray(np.random.default_rng(1).normal(size=(6, 2, 2)))
    one = lambda row: curved(row[None])[0].reshape(-1)  # noqa: E731
    J = jax.jit(jax.vmap(jax.jacfwd(one)))(x).reshape(6, 4, 4)
    s = np.asarray(curved(x)).reshape(6, 4)
    expected = 0.5 * (s**2).sum(1) + np.trace(J, axis1=1, axis2=2)
    np.testing.assert_allclose(score_matching.implicit(curved, x), expected, rtol=1e-12)


def test_the_implicit_optimum_is_the_inverse_covariance(x64):
    """The gradient in A vanishes to 1e-10 at Σ⁻¹ and not beside it; there the cost is −½ tr Σ⁻¹."""
    x, cov = data()
    cost = lambda A: jnp.mean(score_matching.implicit(linear(A), x))  # noqa: E731
    A = jnp.asarray(np.linalg.inv(cov))
    value, slope = jax.value_and_grad(cost)(A)
    np.testing.assert_allclose(slope, 0, atol=1e-10)
    np.testing.assert_allclose(value, -0.5 * np.trace(A), rtol=1e-10)
    assert np.abs(jax.grad(cost)(1.1 * A)).max() > 0.05


def test_slices_estimate_the_trace_without_bias(x64):
    """Exactly for a diagonal Jacobian, whatever the signs; on average for any other."""
    x = data(20)[0]
    cubed = lambda x: -(x**3)  # noqa: E731
    np.testing.assert_allclose(
        score_matching.sliced(cubed, x, jax.random.key(0)),
        score_matching.implicit(cubed, x),
        rtol=1e-12,
    )
    x = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4)))
    n = 4000
    each = jax.jit(lambda k: jax.vmap(lambda k: score_matching.sliced(curved, x, k))(k))(
        jax.random.split(jax.random.key(1), n)
    )
    exact = np.asarray(score_matching.implicit(curved, x))
    error = np.asarray(each).std(0, ddof=1) / np.sqrt(n)
    assert (np.abs(np.asarray(each).mean(0) - exact) < 4.5 * error).all()
    of = jax.jit(partial(score_matching.sliced, curved, n_slices=2000))
    several = of(x, jax.random.key(2))
    spread = np.asarray(each).std(0, ddof=1) / np.sqrt(2000)
    assert (np.abs(np.asarray(several) - exact) < 4.5 * spread).all()


def test_the_denoising_optimum_is_the_inverse_of_the_covariance_under_noise(x64):
    """For noise with the moments of its law the optimum is (Σ + σ²I)⁻¹, to 1e-10.

    Every point is met with noise ± √d e_i, 2d times: then mean εεᵀ = I and mean xεᵀ = 0 exactly.
    """
    x, cov = data(30)
    sigma, d = 0.7, 3
    eps = np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    x, eps = jnp.repeat(x, 2 * d, axis=0), jnp.asarray(np.tile(eps, (30, 1)))
    A = jnp.asarray(np.linalg.inv(cov + sigma**2 * np.eye(d)))

    def cost(A, at):
        """The mean cost by its definition through the function's own noise, replaced by ours."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jax.random, "normal", lambda key, shape, dtype: eps)
            return jnp.mean(score_matching.denoising(linear(A), x, at, sigma))

    key = jax.random.key(0)
    value, slope = jax.value_and_grad(cost)(A, key)
    np.testing.assert_allclose(slope, 0, atol=1e-10)
    expected = 0.5 * (d - sigma**2 * np.trace(A))
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    off = jax.grad(cost)(jnp.asarray(np.linalg.inv(cov)), key)
    assert np.abs(off).max() > 0.05


def test_noise_has_unit_variance_and_its_own_level_for_every_example():
    """With the score 0 the cost is ½‖ε‖², d/2 on average; with −x/σ² it is ½‖x‖²/σ²."""
    n, d = 20_000, 4
    x = jnp.asarray(np.random.default_rng(0).normal(size=(n, 2, 2)), jnp.float32)
    sigma = jnp.linspace(0.1, 2.0, n)
    key = jax.random.key(0)
    cost = score_matching.denoising(lambda x: 0 * x, x, key, 1.0)
    assert abs(cost.mean() - d / 2) < 4.5 * np.sqrt(d / 2 / n)
    wide = sigma[:, None, None]
    cost = score_matching.denoising(lambda x: -x / wide**2, x, jax.random.key(1), sigma)
    exact = 0.5 * (np.asarray(x / wide) ** 2).reshape(n, -1).sum(1)
    np.testing.assert_allclose(cost, exact, rtol=1e-4)


@pytest.mark.slow
def test_all_differentiate_twice_and_run_under_every_transformation(x64):
    """check_grads of order 2 in the parameters; jit, vmap and checkpoint agree to 1e-12."""
    x, key = 0.3 * data(4)[0], jax.random.key(0)
    W = jnp.asarray(np.random.default_rng(2).normal(size=(3, 3)) * 0.3)

    def total(W):
        score = lambda x: jnp.tanh(x @ W)  # noqa: E731
        ours, theirs = jax.random.split(jax.random.clone(key))
        exact = score_matching.implicit(score, x)
        sliced = score_matching.sliced(score, x, ours)
        return jnp.sum(exact + 0.3 * sliced + 2 * score_matching.denoising(score, x, theirs, 0.5))

    f = jax.jit(total)
    jax.test_util.check_grads(f, (W,), 2, ("rev",), atol=1e-6, rtol=1e-6)
    for other in (total(W), jax.vmap(f)(W[None])[0], jax.jit(jax.checkpoint(total))(W)):
        np.testing.assert_allclose(other, f(W), rtol=1e-12)


def test_no_slice_is_refused():
    with pytest.raises(ValueError, match="n_slices"):
        score_matching.sliced(lambda x: x, jnp.zeros((1, 1)), jax.random.key(0), n_slices=0)
