# SPDX-License-Identifier: Apache-2.0
"""A quadratic energy, whose every number is known, and how it is trained."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxml.models import energy
from jaxml.optimizers import adam, schedule
from jaxml.training import descend

COVARIANCE = np.array([[1.0, 0.4], [0.4, 0.6]])
PRECISION = np.linalg.inv(COVARIANCE)
LOG_Z = np.log(2 * np.pi) + 0.5 * np.log(np.linalg.det(COVARIANCE))


class Quadratic(nnx.Module):
    """½xᵀAx, A the symmetric part of a matrix."""

    def __init__(self, A):
        self.matrix = nnx.Param(jnp.asarray(A, float))

    def __call__(self, x):
        return 0.5 * jnp.sum(x @ self.matrix[...] * x, axis=-1)


def model(A=((1.0, 0.0), (0.0, 1.0))):
    return energy.EnergyModel(Quadratic(A))


def precision(model):
    A = np.asarray(model.network.matrix[...])
    return 0.5 * (A + A.T)


def examples(n):
    """n points whose covariance is exactly that of the law, so that no sampling error is left."""
    x = np.random.default_rng(0).normal(size=(n, 2))
    x = x - x.mean(0)
    x = np.linalg.solve(np.linalg.cholesky(x.T @ x / n), x.T).T
    return jnp.asarray(x @ np.linalg.cholesky(COVARIANCE).T, jnp.float32)


def train(loss, x, n_steps, *, rate=0.05, make=lambda rule: rule):
    """The model after n steps of Adam on the whole of x, its rate falling along a cosine."""
    rule = make(descend(loss, adam(schedule.cosine(rate, n_steps))))

    @jax.jit
    def run(key):
        init_key, key = jax.random.split(key)
        start = model()

        def step(carry, i):
            net, state = carry
            net, state, metrics = rule.update(net, state, x, jax.random.fold_in(key, i))
            return (net, state), metrics

        return jax.lax.scan(step, (start, rule.init(start, init_key)), jnp.arange(n_steps))

    return run(jax.random.key(0))
