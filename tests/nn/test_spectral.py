# SPDX-License-Identifier: Apache-2.0
"""Modules under spectral normalization: their gain is 1, calls are pure, refreshes are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.losses import adversarial, critic_penalty
from jaxml.models import gan
from jaxml.nn import MLP, Conv, ConvTranspose, ImageEncoder, Spectral, refresh, spectral
from jaxml.optimizers import adam
from jaxml.training import descend, only


def gain(layer):
    """The largest singular value of the normalized kernel as a matrix."""
    kernel = np.asarray(layer.layer.kernel[...], "f8")
    u, v = (np.asarray(a[...], "f8") for a in (layer.u, layer.v))
    matrix = kernel.reshape(-1, kernel.shape[-1])
    return np.linalg.norm(matrix / (v @ matrix @ u), 2)


def test_a_linear_map_has_gain_one():
    """After a hundred steps to 1e-5, and what it computes is W x/σ + b."""
    layer = nnx.Linear(7, 5, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.arange(5.0)
    wrapped = Spectral(layer, n_steps=100, rngs=nnx.Rngs(1))
    np.testing.assert_allclose(gain(wrapped), 1, rtol=1e-5)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 7)), jnp.float32)
    w = np.asarray(layer.kernel[...])
    expected = np.asarray(x) @ w / np.linalg.norm(w, 2) + np.arange(5.0)
    np.testing.assert_allclose(wrapped(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.kernel[...], w)


def test_a_transposed_convolution_has_the_gain_of_what_it_transposes():
    """Equal kernels, equal singular values: both maps are divided by the same number."""
    options = {"window": (4, 4), "stride": 2, "rngs": nnx.Rngs(0)}
    over, under = ConvTranspose(4, 3, **options), Conv(3, 4, **options)
    under.kernel[...] = over.kernel[...]
    up, down = (Spectral(layer, n_steps=200, rngs=nnx.Rngs(1)) for layer in (over, under))
    np.testing.assert_allclose(gain(up), 1, rtol=1e-5)
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((1, 8, 8, 3), (1, 3, 3, 4)))
    np.testing.assert_allclose(jnp.vdot(down(x), y), jnp.vdot(x, up(y)), rtol=1e-4)


def test_a_step_of_the_power_iteration_comes_nearer():
    layer = Spectral(Conv(3, 8, (4, 4), rngs=nnx.Rngs(0)), n_steps=1, rngs=nnx.Rngs(1))
    gaps = []
    for _ in range(60):
        gaps.append(gain(layer) - 1)
        layer.refresh()
    assert gaps[0] > 0.05
    assert 0 <= gaps[-1] + 1e-6 < 1e-3
    assert gaps[0] > gaps[20] > gaps[-1]


def test_every_kernel_of_a_module_is_wrapped_once():
    """Convolutions and the lists of linear maps behind them; twice changes nothing."""
    net = spectral(ImageEncoder((8, 8, 1), (4, 8), 16, 1, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    kinds = [part for _, part in nnx.iter_modules(net) if isinstance(part, Spectral)]
    assert len(kinds) == 4
    assert len(jax.tree.leaves(spectral(net, rngs=nnx.Rngs(2)))) == len(jax.tree.leaves(net))
    before = np.asarray(kinds[0].u[...])
    kinds[0].layer.kernel[...] = jnp.flip(kinds[0].layer.kernel[...], -1)
    refresh(net)
    assert np.abs(np.asarray(kinds[0].u[...]) - before).max() > 1e-3
    assert net(jnp.ones((2, 8, 8, 1))).shape == (2, 1)


def test_the_gradient_has_no_component_that_scales_the_kernel():
    """W/σ does not depend on the size of W, once u and v are its singular vectors."""
    layer = Spectral(nnx.Linear(6, 4, rngs=nnx.Rngs(0)), n_steps=200, rngs=nnx.Rngs(1))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(9, 6)), jnp.float32)
    slope = jax.grad(lambda layer: jnp.sum(jnp.sin(layer(x))))(layer).layer.kernel[...]
    kernel = layer.layer.kernel[...]
    assert abs(jnp.vdot(slope, kernel)) < 1e-4 * jnp.linalg.norm(slope) * jnp.linalg.norm(kernel)


def test_a_critic_under_spectral_normalization_learns():
    """Under a penalty, which differentiates the critic: singular vectors move with kernels."""
    model = gan.mlp(2, (16, 16), 2, rngs=nnx.Rngs(0))
    model.critic = spectral(model.critic, rngs=nnx.Rngs(1))

    def loss(model, batch, key):
        penalty = critic_penalty.interpolated()
        return gan.critic_loss(model, batch, key, game=adversarial.hinge(), penalty=penalty)

    rule = descend(loss, adam(1e-2), wrt=only("critic"))
    update, state = jax.jit(rule.update), rule.init(model, jax.random.key(0))
    x = 3 + jnp.asarray(np.random.default_rng(0).normal(size=(64, 2)), jnp.float32)
    after, costs = model, []
    for i in range(30):
        after, state, metrics = update(after, state, x, jax.random.key(i))
        costs.append(float(metrics["loss"]))
    assert costs[-1] < costs[0]
    old, new = (m.critic.layers[0] for m in (model, after))
    assert np.abs(np.asarray(old.u[...]) - np.asarray(new.u[...])).max() > 1e-4
    gains = [gain(layer) for layer in after.critic.layers]
    np.testing.assert_allclose(gains, 1, atol=0.1)


def test_a_spectral_critic_is_one_lipschitz():
    """With activations of slope at most 1: no pair of scores is further apart than its points."""
    net = MLP(3, (32, 32), 1, activation=jax.nn.relu, rngs=nnx.Rngs(0))
    net = spectral(net, rngs=nnx.Rngs(1))
    for _ in range(200):
        refresh(net)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2000, 2, 3)), jnp.float32)
    scores, apart = net(x)[..., 0], jnp.linalg.norm(x[:, 0] - x[:, 1], axis=1)
    assert (jnp.abs(scores[:, 0] - scores[:, 1]) <= apart * (1 + 1e-4)).all()


def test_a_module_without_a_kernel_is_refused():
    with pytest.raises(ValueError, match="layer"):
        Spectral(MLP(2, (3,), 1, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
