# SPDX-License-Identifier: Apache-2.0
"""The sizes that are made for accelerators are traced for them, without a number being computed."""

import jax
import jax.numpy as jnp
import pytest

from experiments import diffusion_cifar
from jaxml.diffusion import heun, points
from jaxml.models import diffusion

SIZES = {False: 35_746_307, True: 32_471_436}


@pytest.mark.slow
@pytest.mark.parametrize("transformer", [False, True], ids=["U-Net", "DiT"])
def test_training_and_sampling_lower_for_accelerators(transformer):
    """The gradient of a batch of 128 and 18 steps of Heun, for cuda and tpu."""
    config = diffusion_cifar.Config(transformer=transformer)
    model = jax.eval_shape(lambda: diffusion_cifar.model(config))
    n = sum(a.size for a in jax.tree.leaves(model))
    assert n == SIZES[transformer]
    x = jax.ShapeDtypeStruct((128, *diffusion_cifar.SHAPE), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))

    def slope(model, x, key):
        return jax.grad(lambda m: diffusion_cifar.LOSS(m, x, key)[0])(model)

    def draw(model, key):
        path = points(model.schedule, jnp.linspace(1.0, 0.0, 18))
        return diffusion.sample(model, key, 8, solver=heun(), path=path)

    steps, draws = jax.jit(slope).trace(model, x, key), jax.jit(draw).trace(model, key)
    for traced in (steps, draws):
        for platform in ("cuda", "tpu"):
            assert traced.lower(lowering_platforms=(platform,)).as_text()
