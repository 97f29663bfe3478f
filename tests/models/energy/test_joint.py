# SPDX-License-Identifier: Apache-2.0
"""A classifier as an energy: the three densities of its logits, and its loss as −log p(x, y)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxml.models import energy
from jaxml.models.energy import joint
from jaxml.nn import MLP


def model():
    return joint.Joint(MLP(2, [8], 3, rngs=nnx.Rngs(0)))


def data():
    rng = np.random.default_rng(0)
    x, fake = rng.normal(size=(2, 10, 2)).astype(np.float32)
    return {
        "x": jnp.asarray(x),
        "y": jnp.asarray(rng.integers(0, 3, 10)),
        "fake": jnp.asarray(fake),
    }


def test_the_energies_are_sums_of_one_another():
    """e^{−E(x)} = Σ_y e^{−E(x, y)}, and E(x, y) − E(x) = −log p(y | x)."""
    net, batch = model(), data()
    each = jnp.stack([joint.joint_energy(net, batch["x"], jnp.full(10, k)) for k in range(3)])
    whole = joint.energy(net, batch["x"])
    np.testing.assert_allclose(np.exp(-whole), np.exp(-each).sum(0), rtol=1e-5)
    log_p = jax.nn.log_softmax(joint.logits(net, batch["x"]))
    np.testing.assert_allclose(whole[None] - each, log_p.T, rtol=1e-4, atol=1e-5)


def test_the_loss_has_the_gradient_of_the_joint_density():
    """With α = 0: that of mean E(x, y) − mean E(x̃); with weight 0 that of cross entropy alone."""
    net, batch, key = model(), data(), jax.random.key(0)

    def direct(m):
        real = joint.joint_energy(m, batch["x"], batch["y"])
        return jnp.mean(real) - jnp.mean(joint.energy(m, batch["fake"]))

    def conditional(m):
        log_p = jax.nn.log_softmax(joint.logits(m, batch["x"]))
        return -jnp.mean(log_p[jnp.arange(10), batch["y"]])

    for options, expected in (({"alpha": 0.0}, direct), ({"weight": 0.0}, conditional)):
        loss = partial(joint.loss, **options)
        slope = jax.jit(jax.grad(lambda m, k, loss=loss: loss(m, batch, k)[0]))
        ours = slope(net, jax.random.clone(key))
        jax.tree.map(
            partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
            ours, jax.jit(jax.grad(expected))(net),
        )  # fmt: skip


def test_metrics_tell_accuracy_and_energies():
    net, batch = model(), data()
    value, metrics = joint.loss(net, batch, jax.random.key(0), alpha=0.1)
    right = np.argmax(joint.logits(net, batch["x"]), 1) == np.asarray(batch["y"])
    np.testing.assert_allclose(metrics["accuracy"], right.mean(), rtol=1e-6)
    real, fake = (np.asarray(joint.energy(net, batch[k])) for k in ("x", "fake"))
    np.testing.assert_allclose(metrics["real"], real.mean(), rtol=1e-5)
    expected = metrics["cross_entropy"] + np.mean(real - fake + 0.1 * (real**2 + fake**2))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_chains_of_one_class_follow_its_energy():
    """Langevin on E(x, y) lowers it, for the y that was asked for."""
    net, y = model(), jnp.full(20, 1)
    x = jax.random.uniform(jax.random.key(0), (20, 2), minval=-1.0)
    of = lambda m, x: joint.joint_energy(m, x, y)  # noqa: E731
    walk = jax.jit(partial(energy.langevin, n_steps=30, step_size=0.3, energy=of))
    after, before = of(net, walk(net, x, jax.random.key(1))), of(net, x)
    assert (after <= before + 0.01).all()
    assert after.mean() < before.mean() - 0.1
