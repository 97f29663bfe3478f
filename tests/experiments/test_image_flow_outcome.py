# SPDX-License-Identifier: Apache-2.0
"""The evidence of a flow over images, where it is known."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import image_flow_outcome as outcome
from jaxml.metrics import Kind, Unit
from jaxml.models import flow

X = np.random.default_rng(0).integers(0, 16, (7, 2, 2, 1)).astype(np.uint8)


class Identity(nnx.Module):
    """Keeps a unit cube as it is."""

    def forward(self, x, context=None):
        return x, jnp.zeros(len(x))

    def inverse(self, y, context=None):
        return self.forward(y)


def uniform():
    """P = 16^-4 of every image: 4 bits a dimension, exactly, whatever the noise."""
    return flow.Dequantized(flow.Flow(Identity(), flow.Uniform(2, 2, 1)), levels=16)


def test_a_uniform_density_costs_log2_of_the_levels():
    """Both bounds, in bits a dimension and in nats, and the validation's number."""
    images = outcome.Images(X, X, X, {"data": "noise"})
    done = []
    found = outcome.evaluate(images, 3, uniform(), jax.random.key(0), done.append)
    assert [(e.unit, e.samples) for e in found] == [
        (Unit.BITS_PER_DIM, 1),
        (Unit.NATS, 1),
        (Unit.BITS_PER_DIM, 3),
        (Unit.NATS, 3),
    ]
    for evidence in found:
        expected = 4.0 if evidence.unit is Unit.BITS_PER_DIM else -16 * np.log(2)
        np.testing.assert_allclose(evidence.value, expected, rtol=1e-5)
        assert evidence.n == 7
        bound = Kind.UPPER_BOUND if evidence.unit is Unit.BITS_PER_DIM else Kind.LOWER_BOUND
        assert evidence.kind is bound
    assert done == [7]
    told = outcome.validate(X, uniform(), jax.random.key(1))
    np.testing.assert_allclose(told["bits_per_dim"], 4, rtol=1e-5)


def test_pictures_are_intensities():
    """Samples, cooler samples and data, each in [0, 1] and as many as a sheet holds."""
    sheets = outcome.draw(X, uniform(), jax.random.key(0))
    assert sheets["samples"].images.shape == (100, 2, 2)
    np.testing.assert_allclose(sheets["data"].images, X[..., 0] / 15, rtol=1e-6)
    for sheet in sheets.values():
        assert sheet.images.min() >= 0
        assert sheet.images.max() <= 1
