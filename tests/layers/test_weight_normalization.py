# SPDX-License-Identifier: Apache-2.0
"""Weights normalized by their norms: against NumPy's norms and singular values."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from jaxml.layers import spectral_bound, spectral_norm, weight_norm


def draw(shape, seed=0, dtype: Any = np.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


SHAPES = [(5, 3), (3, 2, 2, 4), (1, 4), (4, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_filters_have_the_given_length(x64, shape):
    """‖W[..., o]‖ = |g[o]|, along V; and g = ‖V‖ changes nothing."""
    direction, length = draw(shape), draw(shape[-1:], 1)
    f = jax.jit(weight_norm)
    got = np.asarray(f(direction, length)).reshape(-1, shape[-1])
    columns = np.asarray(direction).reshape(-1, shape[-1])
    lengths = np.linalg.norm(columns, axis=0)
    np.testing.assert_allclose(got, columns / lengths * np.asarray(length), rtol=1e-12)
    np.testing.assert_allclose(f(direction, jnp.asarray(lengths)), direction, rtol=1e-12)


def test_the_gradient_is_orthogonal_to_the_direction(x64):
    """Equation 3 of the paper: the length of V has no gradient, each filter by itself."""
    direction, length = draw((5, 3)), draw((3,), 1)
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(jnp.sin(weight_norm(v, length)))))(direction)
    np.testing.assert_allclose(np.sum(np.asarray(gradient * direction), 0), 0, atol=1e-12)
    check_grads(jax.jit(weight_norm), (direction, length), order=2, rtol=1e-6, atol=1e-6)


def test_a_filter_of_zeros_stays_zero():
    """No direction: output and gradients are zero and finite, in first and second order."""
    direction, length = np.zeros((4, 2), np.float32), jnp.ones(2)
    direction[0, 1] = 2.0

    @jax.jit
    def everything(v):
        def f(v):
            return jnp.sum(jnp.sin(weight_norm(v, length)))

        return weight_norm(v, length), jax.grad(f)(v), jax.hessian(f)(v)

    kernel, *derivatives = everything(direction)
    np.testing.assert_array_equal(np.asarray(kernel)[:, 0], 0)
    assert all(np.all(np.isfinite(d)) for d in derivatives)


@pytest.mark.parametrize("shape", SHAPES)
def test_largest_singular_value(x64, shape):
    """After enough steps the kernel, filters as rows, has the spectral norm 1 of NumPy's SVD."""
    kernel = draw(shape)
    rows = kernel.size // shape[-1]

    @jax.jit
    def enough(kernel, u, v):
        def six(_, vectors):
            return spectral_norm(kernel, *vectors, n_steps=6)[1:]

        return spectral_norm(kernel, *jax.lax.fori_loop(0, 50, six, (u, v)), n_steps=0)

    got, u, v = enough(kernel, draw(shape[-1:], 1), draw((rows,), 2))
    left, values, right = np.linalg.svd(np.asarray(kernel).reshape(rows, -1).T)
    np.testing.assert_allclose(got, np.asarray(kernel) / values[0], rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.asarray(u) @ left[:, 0]), 1, rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.asarray(v) @ right[0]), 1, rtol=1e-10)


def test_one_step_is_the_algorithm(x64):
    """v ← Wᵀu/‖·‖, u ← Wv/‖·‖, σ = uᵀWv, written in NumPy."""
    kernel, u, v = draw((3, 2, 4)), draw((4,), 1), draw((6,), 2)
    w = np.asarray(kernel).reshape(6, 4).T
    new_v = w.T @ np.asarray(u) / np.linalg.norm(w.T @ np.asarray(u))
    new_u = w @ new_v / np.linalg.norm(w @ new_v)
    got = jax.jit(spectral_norm)(kernel, u, v)
    np.testing.assert_allclose(got.u, new_u, rtol=1e-12)
    np.testing.assert_allclose(got.v, new_v, rtol=1e-12)
    np.testing.assert_allclose(got.kernel, np.asarray(kernel) / (new_u @ w @ new_v), rtol=1e-12)


def test_steps_carry_over(x64):
    """Three calls of one step are one call of three; evaluation takes no step at all."""

    @jax.jit
    def everything(kernel, u, v):
        first = spectral_norm(kernel, u, v)
        second = spectral_norm(kernel, first.u, first.v)
        third = spectral_norm(kernel, second.u, second.v)
        once = spectral_norm(kernel, u, v, n_steps=3)
        return once, third, spectral_norm(kernel, third.u, third.v, n_steps=0)

    once, *others = everything(draw((5, 3)), draw((3,), 1), draw((5,), 2))
    for got in others:
        for a, b in zip(got, once, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_gradient_with_fixed_vectors(x64):
    """Equation 12 of the paper: (G − ⟨G, W/σ⟩ u vᵀ)/σ, the vectors held fixed."""
    kernel, u, v, g = draw((5, 3)), draw((3,), 1), draw((5,), 2), draw((5, 3), 3)

    def f(kernel, u, v):
        return jnp.vdot(g, spectral_norm(kernel, u, v).kernel)

    (gradient, *none), (normalized, u, v) = jax.jit(
        lambda *args: (jax.grad(f, (0, 1, 2))(*args), spectral_norm(*args))
    )(kernel, u, v)
    normalized, left, right = map(np.asarray, (normalized, u, v))
    sigma = right @ np.asarray(kernel) @ left
    truth = (g - np.vdot(g, normalized) * np.outer(right, left)) / sigma
    np.testing.assert_allclose(gradient, truth, rtol=1e-10)
    for nothing in none:
        np.testing.assert_array_equal(nothing, 0)
    check_grads(
        jax.jit(lambda kernel: spectral_norm(kernel, u, v, n_steps=0).kernel),
        (kernel,),
        order=2,
        rtol=1e-6,
        atol=1e-6,
    )


def test_flax():
    """Flax's module computes the same kernel from the same vector `u`."""

    @jax.jit
    def both(kernel, u):
        layer = nnx.Linear(5, 3, use_bias=False, rngs=nnx.Rngs(0))
        layer.kernel[...] = kernel
        module = nnx.SpectralNorm(layer, rngs=nnx.Rngs(0))
        module.batch_stats["kernel", "u"][...] = u[None]
        theirs = module(jnp.eye(5), update_stats=True)
        return spectral_norm(kernel, u, jnp.ones(5)).kernel, theirs

    ours, theirs = both(draw((5, 3), dtype=np.float32), draw((3,), 1, np.float32))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_degenerate_kernels():
    """A kernel of zeros and vectors of zeros give finite results and gradients."""

    @jax.jit
    def both(kernel, u):
        def f(kernel):
            normalized = spectral_norm(kernel, u, jnp.ones(4)).kernel
            return jnp.sum(jnp.sin(normalized)), normalized

        return jax.grad(f, has_aux=True)(kernel)

    for kernel, u in (
        (jnp.zeros((4, 2)), jnp.ones(2)),
        (draw((4, 2), dtype=np.float32), jnp.zeros(2)),
    ):
        assert all(np.all(np.isfinite(a)) for a in both(kernel, u))


def test_bfloat16_and_vmap():
    """Half precision kernels come back as such; vmap equals the loop."""
    kernels = draw((3, 4, 2), dtype=jnp.bfloat16)
    u, v = jnp.ones((3, 2)), jnp.ones((3, 4))
    many = jax.jit(jax.vmap(spectral_norm))(kernels, u, v)
    single = jax.jit(spectral_norm)
    assert many.kernel.dtype == jnp.bfloat16
    assert many.u.dtype == jnp.float32
    for i in range(3):
        one = single(kernels[i], u[i], v[i])
        np.testing.assert_allclose(many.u[i], one.u, rtol=1e-6)
        a, b = (np.asarray(kernel, np.float32) for kernel in (many.kernel[i], one.kernel))
        np.testing.assert_allclose(a, b, rtol=2**-7)
    lengths = jnp.ones((3, 2), jnp.bfloat16)
    assert jax.jit(jax.vmap(weight_norm))(kernels, lengths).dtype == jnp.bfloat16


def test_a_vector_that_does_not_fit_is_named():
    """`v` is as long as a filter."""
    with pytest.raises(ValueError, match="v must hold the 6 inputs"):
        spectral_norm(jnp.ones((3, 2, 4)), jnp.ones(4), jnp.ones(5))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 3), (64, 64)])
def test_the_bound_lies_above_the_largest_gain(x64, shape):
    """By at most the root of the rank that k squarings leave, and by nothing for rank 1."""
    matrix = draw(shape)
    sigma, rank = np.linalg.norm(np.asarray(matrix), 2), min(shape)
    for k in (1, 4, 7):
        bound = float(spectral_bound(matrix, n_squarings=k))
        assert sigma * (1 - 1e-12) <= bound <= sigma * rank**0.5 ** (k + 1) * (1 + 1e-12)
    exact = np.sum(np.linalg.svd(np.asarray(matrix), compute_uv=False) ** 4) ** 0.25
    np.testing.assert_allclose(spectral_bound(matrix, n_squarings=1), exact, rtol=1e-12)


def test_the_bound_scales_and_vanishes_with_its_matrix():
    """In single precision from 1e-30 to 1e30; at 0 it is 0, as is its gradient."""
    matrix = draw((5, 3), dtype=np.float32)
    unit = float(spectral_bound(matrix))
    for scale in (1e-30, 1e30):
        np.testing.assert_allclose(spectral_bound(scale * matrix) / scale, unit, rtol=1e-4)
    value, slope = jax.value_and_grad(spectral_bound)(jnp.zeros((3, 3)))
    assert value == 0
    np.testing.assert_array_equal(slope, 0)
