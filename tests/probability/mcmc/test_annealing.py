# SPDX-License-Identifier: Apache-2.0
"""Annealing between densities whose normalization is known: by matrices, and by simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import mcmc
from jaxml.probability.mcmc import annealing

A = np.diag([2.0, 0.5, 4.0]).astype(np.float32)
B = np.array([0.5, -1.0, 1.5], np.float32)
LOG_Z = 0.5 * 3 * np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(A))


def log_start(x):
    return -0.5 * jnp.sum(jnp.square(x)) - 1.5 * jnp.log(2 * jnp.pi)


def log_target(x):
    return -0.5 * jnp.sum(
        jnp.asarray(np.diag(A), x.dtype) * jnp.square(x - jnp.asarray(B, x.dtype))
    )


PATH = annealing.geometric(log_start, log_target)


def kernel(x, beta, key):
    """One step of Metropolis, so that chains lag behind the path and both bounds have a gap."""
    chain = mcmc.start(lambda x: PATH(x, beta), x)
    return mcmc.random_walk(lambda x: PATH(x, beta), chain, key, 0.7)[0].x


@jax.jit
def bounds(key, betas):
    keys = jax.random.split(key, 4)
    below = jax.random.normal(keys[0], (1000, 3))
    above = B[None] + np.diag(A)[None] ** -0.5 * jax.random.normal(keys[1], (1000, 3))
    return (
        mcmc.lower_bound(PATH, kernel, below, keys[2], betas),
        mcmc.upper_bound(PATH, kernel, above, keys[3], betas),
    )


def test_the_truth_lies_between_the_bounds():
    """log Z of a Gaussian: forth below, back above, each within 4.5 standard errors."""
    lower, upper = bounds(jax.random.key(0), jnp.linspace(0, 1, 200))
    for found in (lower, upper):
        assert found.standard_error < 0.05
        assert abs(found.value - LOG_Z) < 4.5 * found.standard_error
    spread = np.hypot(lower.standard_error, upper.standard_error)
    assert lower.value < upper.value + 4.5 * spread


def test_few_steps_leave_the_bounds_on_their_own_sides():
    """With three βs single chains err on average by tenths of a nat, to the known sides."""
    betas = jnp.linspace(0, 1, 4)

    @jax.jit
    def single(key):
        keys = jax.random.split(key, 4)
        n = 4000
        below = jax.random.normal(keys[0], (n, 3))
        above = B[None] + np.diag(A)[None] ** -0.5 * jax.random.normal(keys[1], (n, 3))
        each = []
        for way, x, key in ((mcmc.anneal, below, keys[2]), (mcmc.anneal_back, above, keys[3])):
            go = lambda x, k, way=way: way(PATH, kernel, x, k, betas)[1]  # noqa: E731
            each.append(jax.vmap(go)(x, jax.random.split(key, n)))
        return each

    forth, back = map(np.asarray, single(jax.random.key(1)))
    assert forth.mean() + 10 * forth.std() / np.sqrt(4000) < LOG_Z
    assert -back.mean() - 10 * back.std() / np.sqrt(4000) > LOG_Z


def test_weights_are_unbiased_both_ways_by_enumeration(x64):
    """On five states every path is summed: E w is Z_1/Z_0 forth and Z_0/Z_1 back to 1e-12.

    The kernels are matrices of Metropolis; the weights come from the functions themselves, whose
    kernel is here a fixed list of states.
    """
    rng = np.random.default_rng(0)
    log_f, betas = rng.normal(size=(2, 5)), np.array([0.0, 0.3, 1.0])
    table = (1 - betas[:, None]) * log_f[0] + betas[:, None] * log_f[1]
    f = np.exp(table)
    P = []
    for row in table:
        alpha = np.exp(np.asarray(mcmc.log_acceptance(
            jnp.asarray(np.repeat(row[:, None], 5, 1)), jnp.asarray(np.repeat(row[None], 5, 0)),
            jnp.zeros((5, 5)))))  # fmt: skip
        K = alpha / 5
        K[np.diag_indices(5)] += 1 - K.sum(1)
        P.append(K)
    path = annealing.geometric(
        lambda x: jnp.asarray(log_f[0])[x["path"][0]], lambda x: jnp.asarray(log_f[1])[x["path"][0]]
    )

    def follow(x, beta, key):
        return {"path": jnp.roll(x["path"], -1), "seen": jnp.roll(x["seen"], -1).at[-1].set(beta)}

    def told(way, states):
        """log w of a chain that goes through the given states, and the βs of its kernels."""
        x = {"path": states, "seen": jnp.zeros(2)}
        x, log_w = way(path, follow, x, jax.random.key(0), jnp.asarray(betas))
        return log_w, x["seen"]

    paths = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    forth, up = jax.jit(jax.vmap(lambda s: told(mcmc.anneal, s)))(paths)
    back, down = jax.jit(jax.vmap(lambda s: told(mcmc.anneal_back, s)))(paths)
    np.testing.assert_array_equal(up[0], betas[1:])
    np.testing.assert_array_equal(down[0], betas[:0:-1])
    a, b, c = paths.T
    Z = f.sum(1)
    chance = f[0][a] / Z[0] * P[1][a, b] * P[2][b, c]
    np.testing.assert_allclose(np.sum(chance * np.exp(forth)), Z[2] / Z[0], rtol=1e-12)
    chance = f[2][a] / Z[2] * P[2][a, b] * P[1][b, c]
    np.testing.assert_allclose(np.sum(chance * np.exp(back)), Z[0] / Z[2], rtol=1e-12)


def test_one_beta_is_no_path():
    with pytest.raises(ValueError, match="betas: expected at least 2"):
        mcmc.anneal(PATH, kernel, jnp.zeros(3), jax.random.key(0), jnp.zeros(1))
