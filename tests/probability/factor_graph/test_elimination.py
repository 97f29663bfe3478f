# SPDX-License-Identifier: Apache-2.0
"""Elimination is the sum, the maximum and the draw over all configurations."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.probability import factor_graph
from jaxml.probability.factor_graph import FactorGraph
from tests.probability.factor_graph.enumeration import draw, each, onto, weights

GRAPHS = {
    "chain": FactorGraph((2, 3, 2, 4), ((0, 1), (1, 2), (2, 3), (0,))),
    "loop": FactorGraph((2, 3, 2, 3), ((0, 1), (1, 2), (2, 3), (3, 0), (2,))),
    "grid": FactorGraph((2,) * 6, ((0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5), (4,))),
    "wide factors": FactorGraph((2, 2, 3, 2, 2), ((3, 0, 2), (4, 2, 1), (1, 0), (3, 4))),
    "two parts and one alone": FactorGraph((3, 2, 2, 2, 4), ((1, 0), (3, 2), (2,), ())),
    "twice the same scope": FactorGraph((3, 3, 2), ((0, 1), (1, 0), (1, 2), (2, 1))),
    "one variable": FactorGraph((5,), ((0,), (0,))),
    "all with all": FactorGraph((2, 3, 2, 2), tuple(itertools.combinations(range(4), 2))),
}
"""Eight structures, of 25 sets of tables each."""


@pytest.mark.parametrize("name", GRAPHS)
def test_all_sums_and_maxima(name, x64):
    """log Z, marginals of variables and of factors, and the best configuration, to 1e-12."""
    graph = GRAPHS[name]
    tables = draw(graph, 25)

    @jax.jit
    @jax.vmap
    def found(tables):
        return (
            factor_graph.log_partition(graph, tables),
            factor_graph.marginals(graph, tables),
            factor_graph.factor_marginals(graph, tables),
            factor_graph.most_probable(graph, tables),
        )

    log_z, single, joint, (best, most) = jax.tree.map(np.asarray, found(tables))
    for i in range(25):
        w = weights(graph, each(tables, i))
        expected = np.log(np.exp(w - w.max()).sum()) + w.max()
        np.testing.assert_allclose(log_z[i], expected, rtol=1e-12, atol=1e-12)
        p = np.exp(w - expected)
        for v, b in enumerate(each(single, i)):
            np.testing.assert_allclose(b, onto(p, (v,)), atol=1e-12)
        for scope, b in zip(graph.scopes, each(joint, i), strict=True):
            np.testing.assert_allclose(b, onto(p, scope), atol=1e-12)
        assert w[tuple(best[i])] == pytest.approx(w.max(), rel=1e-12)
        np.testing.assert_allclose(most[i], w.max(), rtol=1e-12)


@pytest.mark.parametrize("name", ["grid", "wide factors"])
def test_any_order_gives_the_same(name, x64):
    graph = GRAPHS[name]
    tables = each(draw(graph, 1), 0)
    expected = factor_graph.log_partition(graph, tables)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(graph.sizes)).tolist()
        found = factor_graph.log_partition(graph, tables, order=order)
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_min_fill_of_a_tree_and_of_a_grid():
    """Of a star the leaves go first; of a grid 3 × 8 no table has more than 2⁴ numbers."""
    star = FactorGraph((9, 2, 2, 2), ((0, 1), (0, 2), (0, 3)))
    assert factor_graph.min_fill_order(star)[:2] == (1, 2)
    rows = [(3 * i + j, 3 * i + j + 1) for i in range(8) for j in range(2)]
    columns = [(v, v + 3) for v in range(21)]
    graph = FactorGraph((2,) * 24, tuple(rows + columns))
    near = {v: {u for scope in graph.scopes if v in scope for u in scope} - {v} for v in range(24)}
    for v in factor_graph.min_fill_order(graph):
        around = near.pop(v)
        assert len(around) <= 3
        for a in around:
            near[a] = (near[a] | around) - {a, v}


def test_draws_have_the_law(x64):
    """Chi squared of 20,000 draws over all configurations, none of them forbidden."""
    graph = GRAPHS["loop"]
    tables = each(draw(graph, 1), 0)
    keys = jax.random.split(jax.random.key(1), 20_000)
    run = jax.jit(jax.vmap(lambda key: factor_graph.sample(graph, tables, key)))
    x = np.asarray(run(keys))
    w = weights(graph, tables)
    p = np.exp(w - w.max())
    p = (p / p.sum()).ravel()
    seen = np.bincount(np.ravel_multi_index(tuple(x.T), graph.sizes), minlength=p.size)
    assert not seen[p == 0].any()
    likely = p > 5 / 20_000
    seen = np.append(seen[likely], seen[~likely].sum())
    expected = 20_000 * np.append(p[likely], p[~likely].sum())
    keep = expected > 0
    assert stats.chisquare(seen[keep], expected[keep]).pvalue > 1e-3


def test_evidence_is_a_factor(x64):
    """log Z falls by log p(evidence), and an observed variable has its state; traced states too."""
    graph = GRAPHS["loop"]
    tables = each(draw(graph, 1), 0)
    p = np.exp(weights(graph, tables))

    @jax.jit
    def found(state):
        seen = factor_graph.with_evidence(graph, tables, {1: state, 3: 0})
        return factor_graph.log_partition(*seen), factor_graph.marginals(*seen)

    for state in range(3):
        part = p[:, state, :, 0]
        log_z, single = found(jnp.int32(state))
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(log_z, np.log(part.sum()), rtol=1e-12)
        if part.sum():
            np.testing.assert_allclose(single[0], part.sum(1) / part.sum(), atol=1e-12)
            np.testing.assert_array_equal(np.asarray(single[1]), np.arange(3) == state)


def test_nothing_is_allowed(x64):
    """log Z = −inf with slopes of 0, not NaN."""
    graph = FactorGraph((2, 2), ((0, 1),))
    tables = [jnp.full((2, 2), -jnp.inf)]
    value, slope = jax.value_and_grad(lambda t: factor_graph.log_partition(graph, t))(tables)
    assert value == -jnp.inf
    np.testing.assert_array_equal(slope[0], 0)


def test_curvature_is_covariance(x64):
    """The second derivative of log Z in θ is the covariance of what the entries indicate."""
    graph = FactorGraph((2, 3), ((0,), (0, 1)))
    tables = each(draw(graph, 1, forbidden=0), 0)
    H = jax.hessian(lambda a: factor_graph.log_partition(graph, [a, tables[1]]))(tables[0])
    p = np.asarray(factor_graph.marginals(graph, tables)[0])
    np.testing.assert_allclose(H, np.diag(p) - np.outer(p, p), atol=1e-12)


def test_tables_of_one_shape_may_share_an_array(x64):
    """Everything is what it is table by table, in the form in which tables are given."""
    scopes = ((0, 1), (2, 3), (0, 2), (1, 3), (), (), (3,), (1,), (1, 2, 3))
    graph = FactorGraph((2, 3, 2, 3), scopes)
    tables = each(draw(graph, 1), 0)
    nothing = jnp.zeros((0, 2, 2))
    together = [
        jnp.stack(tables[:2]),
        tables[2],
        nothing,
        tables[3],
        jnp.stack(tables[4:6]),
        jnp.stack(tables[6:8]),
        tables[8][None],
    ]
    x = jnp.array([1, 0, 1, 2], jnp.int32)

    @jax.jit
    def found(tables):
        beliefs = factor_graph.sum_product(graph, tables, 5)
        return {
            "once": [
                factor_graph.log_weight(graph, tables, x),
                factor_graph.log_partition(graph, tables),
                factor_graph.marginals(graph, tables),
                factor_graph.most_probable(graph, tables),
                factor_graph.sample(graph, tables, jax.random.key(0)),
                beliefs.log_partition,
                factor_graph.max_product(graph, tables, 5).log_max_marginals,
            ],
            "by table": [factor_graph.factor_marginals(graph, tables), beliefs.factor_log_beliefs],
        }

    alone, stacked = found(tables), found(together)
    jax.tree.map(np.testing.assert_array_equal, alone["once"], stacked["once"])
    for a, b in zip(alone["by table"], stacked["by table"], strict=True):
        assert [part.shape for part in b] == [part.shape for part in together]
        singles = [b[0][0], b[0][1], b[1], b[3], *b[4], *b[5], *b[6]]
        jax.tree.map(np.testing.assert_array_equal, a, singles)
    with pytest.raises(ValueError, match=r"tables\[0\]: expected factors of one shape"):
        factor_graph.log_partition(graph, [jnp.zeros((3, 2, 3)), *tables[3:]])
    with pytest.raises(ValueError, match="tables: expected 9, one a factor, got 10"):
        factor_graph.log_partition(graph, [*together, jnp.zeros(())])


def test_what_is_refused():
    graph = GRAPHS["loop"]
    tables = [jnp.zeros(graph.shape(scope)) for scope in graph.scopes]
    with pytest.raises(ValueError, match="tables: expected 5"):
        factor_graph.log_partition(graph, tables[:-1])
    with pytest.raises(ValueError, match=r"tables\[0\]: expected shape \(2, 3\), got \(3, 2\)"):
        factor_graph.log_partition(graph, [tables[0].T, *tables[1:]])
    with pytest.raises(ValueError, match="order: expected every variable once"):
        factor_graph.log_partition(graph, tables, order=[0, 1, 2])
    with pytest.raises(ValueError, match="sizes"):
        FactorGraph((2, 0), ())
    for scope in ((0, 0), (0, 2)):
        with pytest.raises(ValueError, match="scopes: expected different variables below 2"):
            FactorGraph((2, 2), (scope,))
    for evidence in ({4: 0}, {1: 3}):
        with pytest.raises(ValueError, match="evidence"):
            factor_graph.with_evidence(graph, tables, evidence)
    with pytest.raises(ValueError, match="x: expected 4 states"):
        factor_graph.log_weight(graph, tables, jnp.zeros(3, jnp.int32))
    for state in (-1, 2):
        outside = jnp.array([state, 0, 0, 0], jnp.int32)
        assert jnp.isnan(factor_graph.log_weight(graph, tables, outside))
    wide = FactorGraph((2,) * 30, tuple(itertools.combinations(range(30), 2)))
    with pytest.raises(ValueError, match="graph: taking out variable 0 needs a table"):
        factor_graph.log_partition(wide, [jnp.zeros((2, 2))] * len(wide.scopes))
