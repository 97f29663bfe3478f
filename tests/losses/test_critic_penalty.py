# SPDX-License-Identifier: Apache-2.0
"""Penalties on slopes: closed forms, second derivatives against PyTorch, and slopes of 0."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.losses import critic_penalty

FILE = Path(__file__).with_name("critic_penalty_references.npz")
with np.load(FILE, allow_pickle=False) as opened:
    STORED = {name: opened[name] for name in opened.files}


def images(n, dtype="f8", seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, 3, 4, 2)), dtype)


def linear(w):
    """D(x) = w · x."""
    return lambda x: x.reshape(len(x), -1) @ w


def test_a_linear_critic_has_one_slope_everywhere(x64):
    """(‖w‖ − 1)² and ½ ‖w‖² for every example, with gradients 2 (‖w‖ − 1) w/‖w‖ and w."""
    w = jnp.asarray(np.random.default_rng(1).normal(size=24))
    real, fake, size = images(5), images(5, seed=2), float(jnp.linalg.norm(w))
    key = jax.random.key(0)

    def penalty(w, key):
        return critic_penalty.gradient_penalty(linear(w), real, fake, key)

    np.testing.assert_allclose(penalty(w, key), np.full(5, (size - 1) ** 2), rtol=1e-12)
    slope = jax.grad(lambda w, key: penalty(w, key)[0])(w, jax.random.key(1))
    np.testing.assert_allclose(slope, 2 * (size - 1) * w / size, rtol=1e-10)
    centred = critic_penalty.zero_centred_penalty(linear(w), real)
    np.testing.assert_allclose(centred, np.full(5, 0.5 * size**2), rtol=1e-12)
    slope = jax.grad(lambda w: critic_penalty.zero_centred_penalty(linear(w), real)[0])(w)
    np.testing.assert_allclose(slope, w, rtol=1e-12)


def test_the_slope_is_taken_between_the_two(x64):
    """D = ½ |x|², whose slope is x itself: with real data at 0 and fakes at e the norm is 1 − u."""
    real = jnp.zeros((4000, 3))
    fake = jnp.zeros((4000, 3)).at[:, 0].set(1.0)
    each = critic_penalty.gradient_penalty(
        lambda x: 0.5 * jnp.sum(x**2, axis=1), real, fake, jax.random.key(0)
    )
    u = np.sort(np.sqrt(np.asarray(each)))  # (‖(1 − u) e‖ − 1)² = u²
    grid = (np.arange(4000) + 0.5) / 4000
    assert np.abs(u - grid).max() < 1.95 / np.sqrt(4000)  # Kolmogorov and Smirnov, p = 1e-3
    assert len(np.unique(u)) == 4000


def critic(params, x):
    h = jnp.tanh(x.reshape(len(x), -1) @ params["w"] + params["b"][None])
    return jax.nn.softplus(h @ params["hidden"]) @ params["v"]


@pytest.mark.parametrize("kind", ["gradient", "r1", "r2"])
def test_values_and_second_derivatives_are_those_of_torch(kind, x64, monkeypatch):
    """Within 1e-9, for every parameter; the interpolation weights are those of the file."""
    params = {name: jnp.asarray(STORED[f"in/{name}"]) for name in ("w", "b", "hidden", "v")}
    real, fake, u = (jnp.asarray(STORED[f"in/{name}"]) for name in ("real", "fake", "u"))
    monkeypatch.setattr(
        critic_penalty.jax.random, "uniform", lambda key, shape, dtype: u.reshape(shape)
    )

    def penalty(params):
        def of(x):
            return critic(params, x)

        if kind == "gradient":
            each = critic_penalty.gradient_penalty(of, real, fake, jax.random.key(0))
        else:
            each = critic_penalty.zero_centred_penalty(of, real if kind == "r1" else fake)
        return jnp.mean(each), each

    gradients, each = jax.jit(jax.grad(penalty, has_aux=True))(params)
    np.testing.assert_allclose(each, STORED[f"{kind}/value"], rtol=1e-9)
    for name, found in gradients.items():
        expected = STORED[f"{kind}/{name}"]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_the_file_is_what_torch_computes():
    """Written again by the PyTorch at hand, it is the same up to rounding."""
    pytest.importorskip("torch")
    from tests.losses import critic_penalty_references

    fresh = critic_penalty_references.references()
    assert set(fresh) == set(STORED)
    for name, value in fresh.items():
        np.testing.assert_allclose(value, STORED[name], rtol=1e-9, atol=1e-12)


def test_a_flat_critic_has_finite_gradients():
    """D = c |x|⁴ at c = 0 and at x = 0: the norm's slope at 0 is 0, and the penalty 1."""
    x = images(3, "f4")
    for scale, at in ((0.0, x), (1.0, 0 * x)):

        def penalty(c, at=at):
            def flat(x):
                return c * jnp.sum(x**4, axis=(1, 2, 3))

            each = critic_penalty.gradient_penalty(flat, at, at, jax.random.key(0))
            return jnp.mean(each)

        value, slope = jax.value_and_grad(penalty)(jnp.asarray(scale))
        assert value == 1
        assert slope == 0


@pytest.mark.parametrize("size", [1e-18, 1e18])
def test_slopes_of_any_size_have_a_penalty(size):
    """Squares of such slopes are no floats; the norm is."""
    x = images(3, "f4")
    w = jnp.full(24, size / np.sqrt(24), jnp.float32)
    each = critic_penalty.gradient_penalty(linear(w), x, x, jax.random.key(0))
    expected = (size - 1) ** 2 if size < 1 else size**2
    np.testing.assert_allclose(each, expected, rtol=1e-5)


def test_weights_are_factors():
    """10 times the gradient penalty; R1 and R2 each with its own; nothing for a weight of 0."""
    w = jnp.asarray(np.random.default_rng(1).normal(size=24), jnp.float32)
    real, fake = images(5, "f4"), images(5, "f4", seed=2)
    plain = critic_penalty.gradient_penalty(linear(w), real, fake, jax.random.key(0))
    ten = critic_penalty.interpolated()(linear(w), real, fake, jax.random.key(0))
    np.testing.assert_allclose(ten, 10 * plain, rtol=1e-6)

    def quadratic(x):
        return 0.5 * jnp.sum(x**2, axis=(1, 2, 3))

    both = critic_penalty.zero_centred(2.0, 0.5)(quadratic, real, fake, jax.random.key(0))
    squares = [0.5 * np.sum(np.asarray(x) ** 2, axis=(1, 2, 3)) for x in (real, fake)]
    np.testing.assert_allclose(both, 2 * squares[0] + 0.5 * squares[1], rtol=1e-5)
    none = critic_penalty.zero_centred(0.0)(quadratic, real, fake, jax.random.key(0))
    np.testing.assert_array_equal(none, np.zeros(5))
    with pytest.raises(ValueError, match="fake"):
        critic_penalty.zero_centred(1.0, -1.0)
    with pytest.raises(ValueError, match="weight"):
        critic_penalty.interpolated(-1.0)


def test_consistency_is_the_square_of_the_change():
    w, x = jnp.ones(24, jnp.float32), images(3, "f4")
    each = critic_penalty.consistency(linear(w), x, x + 0.5)
    np.testing.assert_allclose(each, 144.0, rtol=1e-4)


def test_scores_and_shapes_that_do_not_fit_are_refused():
    x = images(3, "f4")
    with pytest.raises(ValueError, match="critic"):
        critic_penalty.slopes(lambda x: x.sum(), x)
    with pytest.raises(ValueError, match="fake"):
        critic_penalty.gradient_penalty(linear(jnp.ones(24)), x, x[:2], jax.random.key(0))
