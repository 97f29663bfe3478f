# SPDX-License-Identifier: Apache-2.0
"""Messages on forests are exact; on other graphs they are consistent with one another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import factor_graph
from jaxml.probability.factor_graph import FactorGraph
from tests.probability.factor_graph.enumeration import draw, each, onto, weights

FORESTS = {
    "chain": FactorGraph((2, 3, 2, 4), ((0, 1), (1, 2), (2, 3), (0,))),
    "star": FactorGraph((3, 2, 2, 2, 4), ((1, 0), (0, 2), (3, 0), (0, 4), (2,), (2,))),
    "wide factors": FactorGraph((2, 3, 2, 2, 3, 2), ((3, 0, 2), (4, 2), (5, 1, 4), (1,))),
    "two parts and one alone": FactorGraph((3, 2, 2, 2, 4), ((1, 0), (3, 2), (2,), ())),
}
GRID = FactorGraph((2,) * 6, ((0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)))


@pytest.mark.parametrize("name", FORESTS)
def test_forests_are_exact(name, x64):
    """log Z, beliefs of variables and of factors, and the best configuration, to 1e-12."""
    graph = FORESTS[name]
    tables = draw(graph, 25)

    @jax.jit
    @jax.vmap
    def found(tables):
        return (
            factor_graph.sum_product(graph, tables, 6),
            factor_graph.max_product(graph, tables, 6),
        )

    beliefs, best = jax.tree.map(np.asarray, found(tables))
    assert beliefs.change.max() < 1e-15
    assert best.change.max() < 1e-15
    for i in range(25):
        w = weights(graph, each(tables, i))
        log_z = np.log(np.exp(w - w.max()).sum()) + w.max()
        np.testing.assert_allclose(beliefs.log_partition[i], log_z, rtol=1e-12, atol=1e-12)
        p = np.exp(w - log_z)
        for v, size in enumerate(graph.sizes):
            b = np.exp(beliefs.log_beliefs[i, v])
            np.testing.assert_allclose(b[:size], onto(p, (v,)), atol=1e-12)
            np.testing.assert_array_equal(b[size:], 0)
            others = tuple(u for u in range(w.ndim) if u != v)
            most = best.log_max_marginals[i, v, :size]
            np.testing.assert_allclose(most, w.max(axis=others) - w.max(), atol=1e-12)
        for scope, b in zip(graph.scopes, each(beliefs.factor_log_beliefs, i), strict=True):
            np.testing.assert_allclose(np.exp(b), onto(p, scope), atol=1e-12)
        assert w[tuple(best.states[i])] == pytest.approx(w.max(), rel=1e-12)
        np.testing.assert_allclose(best.log_weight[i], w.max(), rtol=1e-12)


def test_cycles_are_told():
    assert all(graph.is_forest for graph in FORESTS.values())
    assert not GRID.is_forest
    assert not FactorGraph((2, 2), ((0, 1), (1, 0))).is_forest


def test_steps_short_of_the_diameter_are_not_enough(x64):
    """A chain of ten needs nine steps, and says by its change that it has not settled before."""
    graph = FactorGraph((2,) * 10, tuple((i, i + 1) for i in range(9)))
    tables = each(draw(graph, 1, forbidden=0), 0)
    exact = factor_graph.log_partition(graph, tables)
    early, done = (factor_graph.sum_product(graph, tables, n) for n in (4, 10))
    np.testing.assert_allclose(done.log_partition, exact, rtol=1e-13)
    assert done.change < 1e-15
    assert early.change > 1e-6
    assert abs(early.log_partition - exact) > 1e-6


def ising(coupling, field):
    """Tables of J s_i s_j on the edges of the grid, with a field at every spin."""
    graph = FactorGraph(GRID.sizes, (*GRID.scopes, *((v,) for v in range(6))))
    spins = np.array([-1.0, 1.0])
    edge, single = coupling * np.outer(spins, spins), field * spins
    return graph, [*[jnp.asarray(edge)] * 7, *[jnp.asarray(single)] * 6]


def test_loops_settle_where_beliefs_agree(x64):
    """Beliefs of factors have those of variables as margins, and log Z is stationary there.

    So its slope in θ is the belief, through all the steps; and couplings that attract give a lower
    bound (Ruozzi 2012, arXiv:1206.3283), nearer by 95 % than that of independent spins at a weak
    coupling.
    """
    graph, tables = ising(0.3, 0.2)
    run = jax.jit(lambda tables: factor_graph.sum_product(graph, tables, 200))
    found = run(tables)
    assert found.change < 1e-14
    for scope, log_b in zip(graph.scopes, found.factor_log_beliefs, strict=True):
        b = np.exp(log_b)
        for place, v in enumerate(scope):
            margin = b.sum(axis=tuple(a for a in range(b.ndim) if a != place))
            np.testing.assert_allclose(margin, np.exp(found.log_beliefs[v]), atol=1e-13)
    slope = jax.jit(jax.grad(lambda tables: run(tables).log_partition))(tables)
    for a, log_b in zip(slope, found.factor_log_beliefs, strict=True):
        np.testing.assert_allclose(a, np.exp(log_b), atol=1e-10)
    exact = factor_graph.log_partition(graph, tables)
    independent = 6 * np.log(2 * np.cosh(0.2))
    assert independent < found.log_partition < exact
    assert exact - found.log_partition < 0.05 * (exact - independent)


def test_damping_lets_oscillations_settle(x64):
    """Four spins that repel each other swing for ever, and not with half of the old message."""
    graph = FactorGraph((2,) * 4, tuple((i, j) for i in range(4) for j in range(i)))
    spins = np.array([-1.0, 1.0])
    repel = [jnp.asarray(-2.0 * np.outer(spins, spins))] * 6
    field = jnp.asarray(0.1 * spins)
    graph = FactorGraph(graph.sizes, (*graph.scopes, (0,), (1,), (2,), (3,)))
    tables = [*repel, *[field] * 4]
    plain, damped = (factor_graph.sum_product(graph, tables, 300, damping=d) for d in (0.0, 0.5))
    assert plain.change > 0.1
    assert damped.change < 1e-12

    @jax.jit
    def early(d):
        return factor_graph.sum_product(graph, tables, 5, damping=d).log_partition

    slope = (early(jnp.float64(0.5 + 1e-6)) - early(jnp.float64(0.5 - 1e-6))) / 2e-6
    np.testing.assert_allclose(jax.grad(early)(jnp.float64(0.5)), slope, rtol=1e-6)


def test_damping_keeps_what_is_impossible(x64):
    """A forbidden state is so after one step, however much is kept of the old messages."""
    graph = FORESTS["chain"]
    tables = each(draw(graph, 1), 0)
    found = factor_graph.sum_product(graph, tables, 400, damping=0.7)
    exact = factor_graph.marginals(graph, tables)
    for v, p in enumerate(exact):
        np.testing.assert_allclose(np.exp(found.log_beliefs[v, : len(p)]), p, atol=1e-12)


def test_single_precision_and_half(x64):
    """Tables in half precision are computed in single; beliefs are within 1e-5."""
    graph = FORESTS["star"]
    tables = each(draw(graph, 1), 0)
    for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.bfloat16, 0.05)):
        few = [table.astype(dtype) for table in tables]
        found = factor_graph.sum_product(graph, few, 6)
        assert found.log_beliefs.dtype == jnp.float32
        exact = factor_graph.log_partition(graph, tables)
        np.testing.assert_allclose(found.log_partition, exact, rtol=tolerance)


def test_what_is_refused():
    graph, tables = FactorGraph((2, 2), ((0, 1),)), [jnp.zeros((2, 2))]
    for run in (factor_graph.sum_product, factor_graph.max_product):
        with pytest.raises(ValueError, match="n_steps: expected at least 1, got 0"):
            run(graph, tables, 0)
        with pytest.raises(ValueError, match=r"damping: expected a number in \[0, 1\), got 1"):
            run(graph, tables, 1, damping=1.0)
        with pytest.raises(ValueError, match="tables: expected 1"):
            run(graph, [], 1)
