# SPDX-License-Identifier: Apache-2.0
"""Networks of GANs: shapes, contexts, and critics that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.models import gan


def test_two_mlps_have_the_shapes_of_their_data():
    model = gan.mlp(5, (8, 8), 3, rngs=nnx.Rngs(0))
    x = gan.sample(model, jax.random.key(0), 4)
    assert x.shape == (4, 5)
    assert gan.score(model, x).shape == (4,)
    assert x.dtype == jnp.float32


def test_a_context_is_one_more_input_of_both():
    """Each output depends on its own row of the context, and on no other."""
    model = gan.mlp(5, (8,), 3, n_context=2, rngs=nnx.Rngs(0))
    z, c = jnp.ones((4, 3)), jnp.eye(2)[jnp.asarray([0, 0, 1, 1])]
    x = gan.generate(model, z, c)
    same = np.asarray(x)
    np.testing.assert_array_equal(same[0], same[1])
    assert np.abs(same[1] - same[2]).max() > 1e-3
    scores = np.asarray(gan.score(model, jnp.ones((4, 5)), c))
    assert scores[0] == scores[1] != scores[2]
    with pytest.raises((TypeError, ValueError)):
        gan.generate(model, z)


def test_scores_are_one_an_example():
    model = gan.mlp(5, (8,), 3, rngs=nnx.Rngs(0))
    wrong = gan.GAN(model.generator, lambda x, context: x, 3)
    with pytest.raises(ValueError, match="critic"):
        gan.score(wrong, jnp.ones((4, 5)))
    flat = gan.GAN(model.generator, lambda x, context: x[:, 0], 3)
    np.testing.assert_array_equal(gan.score(flat, jnp.ones((4, 5))), np.ones(4))
