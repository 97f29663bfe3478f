# SPDX-License-Identifier: Apache-2.0
"""Networks of image couplings: what they read, how they begin, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import PointwiseNet, ResidualNet

RNG = np.random.default_rng(0)
MAKE = {"pointwise": PointwiseNet, "residual": ResidualNet}


def build(name, n_context=0):
    """With a last layer that is not zero."""
    network = MAKE[name](2, 5, 3, n_context=n_context, rngs=nnx.Rngs(0))
    network.last.kernel[...] = jnp.asarray(RNG.normal(size=network.last.kernel.shape), jnp.float32)
    return network


@pytest.mark.parametrize("name", MAKE)
def test_the_output_begins_at_zero(name):
    x = jnp.asarray(RNG.normal(size=(2, 6, 6, 2)), jnp.float32)
    y = MAKE[name](2, 5, 3, rngs=nnx.Rngs(0))(x)
    np.testing.assert_array_equal(y, np.zeros((2, 6, 6, 3)))


@pytest.mark.parametrize(("name", "reach"), [("pointwise", 2), ("residual", 5)])
def test_a_pixel_reads_its_neighbourhood(name, reach):
    """Two convolutions of 3 × 3 taps reach 2 pixels, one and two residual blocks 5."""
    network = build(name)
    x = jnp.asarray(RNG.normal(size=(1, 15, 15, 2)), jnp.float32)
    slope = jax.grad(lambda x: network(x)[0, 7, 7].sum())(x)
    seen = np.abs(slope[0]).sum(-1) > 0
    rows, columns = np.nonzero(seen)
    assert (rows.min(), rows.max()) == (7 - reach, 7 + reach)
    assert (columns.min(), columns.max()) == (7 - reach, 7 + reach)


@pytest.mark.parametrize("name", MAKE)
def test_a_context_is_a_vector_or_an_image(name):
    """A vector acts as the image that has it at every position."""
    network = build(name, n_context=4)
    x = jnp.asarray(RNG.normal(size=(2, 4, 4, 2)), jnp.float32)
    c = jnp.asarray(RNG.normal(size=(2, 4)), jnp.float32)
    y = network(x, c)
    same = network(x, jnp.broadcast_to(c[:, None, None], (2, 4, 4, 4)))
    np.testing.assert_allclose(y, same, rtol=1e-5, atol=1e-5)
    assert np.abs(y - network(x, c + 1)).max() > 1e-3


@pytest.mark.parametrize("name", MAKE)
def test_a_missing_or_needless_context_is_refused(name):
    x = jnp.zeros((1, 4, 4, 2))
    with pytest.raises(ValueError, match="context: expected 4 features, got none"):
        build(name, n_context=4)(x)
    with pytest.raises(ValueError, match="context: expected 0 features"):
        build(name)(x, jnp.zeros((1, 4)))


def test_residual_blocks_are_normalized_and_counted():
    """A block's kernels have the lengths that it learns; directions of any size do the same."""
    network = build("residual")
    x = jnp.asarray(RNG.normal(size=(1, 4, 4, 2)), jnp.float32)
    y = network(x)
    network.blocks.directions[...] = 7 * network.blocks.directions[...]
    np.testing.assert_allclose(network(x), y, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="n: expected at least 1"):
        ResidualNet(2, 5, 3, n_blocks=0, rngs=nnx.Rngs(0))
