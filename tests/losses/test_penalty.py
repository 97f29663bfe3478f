# SPDX-License-Identifier: Apache-2.0
"""Penalties over chosen leaves, and when L2 is weight decay."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxml.losses import penalty


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array


def tree():
    rng = np.random.default_rng(0)
    layers = [Layer(*(jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((3, 2), (2,))))] * 2
    return {
        "layers": layers,
        "step": jnp.array(3),
        "key": jax.random.key(0),
        "scale": jnp.array(2.0),
    }


def kernels(path):
    return path.endswith("/kernel")


def test_norms_of_all_and_of_chosen_leaves():
    """Σ|w| and ½Σw², over real leaves only, by their path."""
    params = tree()
    every = [*params["layers"][0], *params["layers"][1], params["scale"]]
    chosen = [layer.kernel for layer in params["layers"]]
    for where, leaves in ((penalty.everything, every), (kernels, chosen)):
        w = np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(np.float64)
        np.testing.assert_allclose(penalty.l1(params, where=where), np.abs(w).sum(), rtol=1e-6)
        np.testing.assert_allclose(penalty.l2(params, where=where), 0.5 * (w**2).sum(), rtol=1e-6)
    assert penalty.l1(params) == penalty.l1(params, where=penalty.everything)
    first = penalty.l2(params, where=lambda path: path == "layers/0/bias")
    np.testing.assert_allclose(first, 0.5 * jnp.sum(params["layers"][0].bias ** 2), rtol=1e-6)


def test_slopes_are_the_sign_and_the_weight():
    """sign(w), 0 at 0, and w; leaves that are not chosen feel nothing."""
    params = {"kernel": jnp.array([-2.0, 0.0, 3.0]), "bias": jnp.ones(2)}

    def chosen(path):
        return path == "kernel"

    l1, l2 = (jax.grad(lambda p, f=f: f(p, where=chosen))(params) for f in (penalty.l1, penalty.l2))
    np.testing.assert_array_equal(l1["kernel"], [-1, 0, 1])
    np.testing.assert_array_equal(l2["kernel"], params["kernel"])
    assert not l1["bias"].any()
    assert not l2["bias"].any()


def test_half_precision_is_summed_in_single():
    """A sum of 1000 ones in bfloat16 would stop at 256; leaves may differ in precision."""
    params = {"a": jnp.ones(1000, jnp.bfloat16), "b": jnp.ones(3)}
    assert penalty.l1(params) == 1003
    assert penalty.l2(params) == 501.5
    assert penalty.l1(params).dtype == jnp.float32
    assert jax.grad(penalty.l2)(params)["a"].dtype == jnp.bfloat16


def test_a_choice_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"where: expected to choose a leaf .* 'layers/0/kernel'"):
        penalty.l1(tree(), where=lambda path: "kernle" in path)
    with pytest.raises(ValueError, match="where: expected to choose a leaf"):
        penalty.l2({"step": jnp.array(3)})


def test_l2_is_weight_decay_for_plain_gradient_descent_only(x64):
    """SGD on J + αΩ is SGD on J with weights shrunk by ηα; Adam on J + αΩ is not AdamW on J."""
    alpha, rate = 0.1, 0.05
    target = jnp.array([1.0, -2.0, 0.5])

    def cost(w, alpha):
        return jnp.sum(jnp.array([1.0, 10.0, 0.1]) * (w - target) ** 2) + alpha * penalty.l2(w)

    def descend(optimizer, alpha):
        w = jnp.array([3.0, 1.0, -1.0])
        state = optimizer.init(w)
        for _ in range(20):
            with jax.numpy_dtype_promotion("standard"):  # Optax mixes its counter with reals
                step, state = optimizer.update(jax.grad(cost)(w, alpha), state, w)
            w = optax.apply_updates(w, step)
        return w

    decayed = optax.chain(optax.add_decayed_weights(alpha), optax.sgd(rate))
    np.testing.assert_allclose(descend(optax.sgd(rate), alpha), descend(decayed, 0.0), rtol=1e-13)
    adam, adamw = optax.adam(rate), optax.adamw(rate, weight_decay=alpha)
    assert np.abs(descend(adam, alpha) - descend(adamw, 0.0)).max() > 0.01


def test_a_penalty_is_added_with_its_weight_and_l1_reaches_zero(x64):
    """The minimum of ½(w − b)² + αΩ: b/(1 + α) for L2, sign(b)·max(|b| − α, 0) for L1."""
    b, alpha = jnp.array([2.0, -0.3, 0.8]), 0.5
    ridge = b / (1 + alpha)
    slope = jax.grad(lambda w: 0.5 * jnp.sum((w - b) ** 2) + alpha * penalty.l2(w))
    np.testing.assert_allclose(slope(ridge), 0, atol=1e-15)
    lasso = jnp.sign(b) * jnp.maximum(jnp.abs(b) - alpha, 0)
    slope = jax.grad(lambda w: 0.5 * jnp.sum((w - b) ** 2) + alpha * penalty.l1(w))(lasso)
    assert lasso[1] == 0
    np.testing.assert_allclose(slope[jnp.array([0, 2])], 0, atol=1e-15)
    assert abs(slope[1]) <= alpha  # 0 lies between the slopes on both sides of the kink
