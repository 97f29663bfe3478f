# SPDX-License-Identifier: Apache-2.0
"""Of models side by side the likeliest is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.restarts import likeliest
from jaxml.models import mixture


def test_the_likeliest_start_is_kept():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(60, 2)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 4)
    models = jax.vmap(lambda key: mixture.begun(x, key, 3))(keys)
    values = jax.vmap(lambda model: mixture.log_prob(model, x).mean())(models)
    best = likeliest(mixture.log_prob, x, models, ())
    assert mixture.log_prob(best, x).mean() == pytest.approx(float(values.max()))
    assert values.min() < values.max()
