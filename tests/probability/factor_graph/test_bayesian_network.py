# SPDX-License-Identifier: Apache-2.0
"""A network whose answers are worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import factor_graph

PARENTS = ((), (0,), (1, 0))
"""Rain; a sprinkler that seldom runs when it rains; grass that either of them makes wet."""
PROBABILITIES = (
    [0.8, 0.2],
    [[0.6, 0.4], [0.99, 0.01]],
    [[[1.0, 0.0], [0.2, 0.8]], [[0.1, 0.9], [0.01, 0.99]]],
)


def tables():
    with np.errstate(divide="ignore"):
        return [jnp.asarray(np.log(np.array(p))) for p in PROBABILITIES]


def test_wet_grass(x64):
    """p(wet) = 0.44838 and p(rain | wet) = 0.16038 / 0.44838, by hand; and Z = 1."""
    graph = factor_graph.network((2, 2, 2), PARENTS)
    np.testing.assert_allclose(factor_graph.log_partition(graph, tables()), 0, atol=1e-15)
    wet = factor_graph.with_evidence(graph, tables(), {2: 1})
    np.testing.assert_allclose(factor_graph.log_partition(*wet), np.log(0.44838), rtol=1e-13)
    rain = factor_graph.marginals(*wet)[0]
    np.testing.assert_allclose(rain[1], 0.16038 / 0.44838, rtol=1e-13)
    states, log_p = factor_graph.most_probable(*wet)
    np.testing.assert_array_equal(states, [0, 1, 1])
    np.testing.assert_allclose(log_p, np.log(0.8 * 0.4 * 0.9), rtol=1e-13)


def test_draws_have_the_law(x64):
    """Both ways to draw, by parents and by elimination, within 4 standard errors of p(wet)."""
    graph, n = factor_graph.network((2, 2, 2), PARENTS), 20_000
    keys = jax.random.split(jax.random.key(0), n)
    for run in (
        lambda key: factor_graph.ancestral_sample(PARENTS, tables(), key),
        lambda key: factor_graph.sample(graph, tables(), key),
    ):
        x = np.asarray(jax.jit(jax.vmap(run))(jax.random.clone(keys)))
        assert abs(x[:, 2].mean() - 0.44838) < 4 * np.sqrt(0.44838 * 0.55162 / n)
        assert abs((x[:, 0] & x[:, 2]).mean() - 0.16038) < 4 * np.sqrt(0.16 * 0.84 / n)
        assert not ((x[:, 0] == 0) & (x[:, 1] == 0) & (x[:, 2] == 1)).any()


def test_what_is_refused():
    with pytest.raises(ValueError, match="parents: expected no circle, got one among"):
        factor_graph.network((2, 2, 2), ((), (2,), (1,)))
    with pytest.raises(ValueError, match="parents: expected those of 2 variables, got 1"):
        factor_graph.network((2, 2), ((),))
    with pytest.raises(ValueError, match=r"conditionals\[1\]: expected 2 axes, got 1"):
        factor_graph.ancestral_sample(((), (0,)), [jnp.zeros(2)] * 2, jax.random.key(0))
