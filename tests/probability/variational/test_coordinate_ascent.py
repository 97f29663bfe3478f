# SPDX-License-Identifier: Apache-2.0
"""Mean field on factor graphs against enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import factor_graph
from jaxml.probability.factor_graph import FactorGraph
from jaxml.probability.variational import coordinate_ascent
from tests.probability.factor_graph.enumeration import draw, weights

RNG = np.random.default_rng(2)
GRAPHS = {
    "loop": FactorGraph((2, 3, 2, 3), ((0, 1), (1, 2), (2, 3), (3, 0), (2,))),
    "wide factors": FactorGraph((2, 2, 3, 2), ((3, 0, 2), (2, 1), (1, 0), ())),
}


def product(log_q):
    """q(x) of every configuration."""
    found = np.ones(())
    for v in log_q:
        found = np.multiply.outer(found, np.exp(v))
    return found


@pytest.mark.parametrize("name", GRAPHS)
def test_the_bound_is_exact_and_never_falls(name, x64):
    """E_q[Σθ − log q] by enumeration; ≤ log Z; rising by sweeps to where no slope is left."""
    graph = GRAPHS[name]
    tables = [jnp.asarray(t[0]) for t in draw(graph, 1, forbidden=0)]
    log_q = [jax.nn.log_softmax(jnp.asarray(RNG.normal(size=s))) for s in graph.sizes]
    w = weights(graph, [np.asarray(t) for t in tables])
    log_z = factor_graph.log_partition(graph, tables)
    sweep = jax.jit(lambda log_q: coordinate_ascent.sweep(graph, tables, log_q))
    bound = jax.jit(lambda log_q: coordinate_ascent.bound(graph, tables, log_q))
    values = []
    for _ in range(200):
        p = product(log_q)
        expected = np.sum(p * (w - np.log(p)))
        values.append(float(bound(log_q)))
        assert values[-1] == pytest.approx(expected, rel=1e-11)
        log_q = sweep(log_q)
    assert (np.diff(values) > -1e-12).all()
    assert values[-1] < log_z
    assert values[-1] > values[0] + 0.1
    for v in log_q:
        np.testing.assert_allclose(np.exp(v).sum(), 1, rtol=1e-13)
    slopes = jax.jit(jax.grad(lambda logits: bound([jax.nn.log_softmax(a) for a in logits])))
    for slope in slopes(log_q):
        assert np.abs(slope).max() < 1e-7


def test_one_step_is_the_best_of_its_variable(x64):
    """The step of variable 1 alone, by enumeration: no other q_1 has a greater bound."""
    graph = GRAPHS["loop"]
    tables = [jnp.asarray(t[0]) for t in draw(graph, 1, forbidden=0)]
    log_q = coordinate_ascent.uniform(graph)
    assert all(v.dtype == jnp.float64 for v in log_q)
    after = coordinate_ascent.sweep(graph, tables, log_q)
    mixed = [after[0], *log_q[1:]]
    w = weights(graph, [np.asarray(t) for t in tables])
    others = product([np.asarray(mixed[v]) for v in (0, 2, 3)])
    field = np.einsum("abcd,acd->b", w, others)
    np.testing.assert_allclose(after[1], field - np.log(np.exp(field).sum()), rtol=1e-11)
    best = coordinate_ascent.bound(graph, tables, [after[0], after[1], *log_q[2:]])
    for _ in range(50):
        other = jax.nn.log_softmax(after[1] + jnp.asarray(RNG.normal(size=3)) * 0.3)
        assert coordinate_ascent.bound(graph, tables, [after[0], other, *log_q[2:]]) < best


def test_independent_variables_are_exact_and_the_symmetric_magnet_breaks(x64):
    """Without couplings one sweep gives log Z and marginals; two strong spins choose a side.

    For θ = βs s' the magnetizations solve m = tanh βm, which for β > 1 has roots other than 0.
    """
    graph = FactorGraph((3, 2), ((0,), (1,), (0,)))
    tables = [jnp.asarray(RNG.normal(size=n)) for n in (3, 2, 3)]
    log_q = coordinate_ascent.sweep(graph, tables, coordinate_ascent.uniform(graph))
    log_z = factor_graph.log_partition(graph, tables)
    np.testing.assert_allclose(coordinate_ascent.bound(graph, tables, log_q), log_z, rtol=1e-12)
    for ours, exact in zip(log_q, factor_graph.marginals(graph, tables), strict=True):
        np.testing.assert_allclose(np.exp(ours), exact, rtol=1e-12)
    pair = FactorGraph((2, 2), ((0, 1),))
    beta = 1.5
    tables = [beta * jnp.array([[1.0, -1.0], [-1.0, 1.0]])]
    sweep = jax.jit(lambda log_q: coordinate_ascent.sweep(pair, tables, log_q))
    even = coordinate_ascent.uniform(pair)
    np.testing.assert_allclose(sweep(even), even, rtol=1e-12)
    log_q = [jnp.log(jnp.array([0.4, 0.6]))] * 2
    for _ in range(200):
        log_q = sweep(log_q)
    m = float(np.exp(log_q[0]) @ np.array([-1, 1]))
    assert m == pytest.approx(np.tanh(beta * m), rel=1e-12)
    assert m > 0.8
    broken = coordinate_ascent.bound(pair, tables, log_q)
    assert (
        coordinate_ascent.bound(pair, tables, even)
        < broken
        < factor_graph.log_partition(pair, tables)
    )


def test_what_is_forbidden_stays_so(x64):
    """−inf where q may be 0 leaves the bound finite; where it may not, −inf; evidence is obeyed."""
    graph = FactorGraph((2, 3), ((0, 1),))
    table = jnp.asarray([[0.5, -jnp.inf, 0.1], [0.3, -jnp.inf, -0.2]])
    log_q = coordinate_ascent.sweep(graph, [table], coordinate_ascent.uniform(graph))
    assert np.isnan(log_q[0]).all()  # the uniform q_1 leaves variable 0 no state
    half = jnp.log(jnp.array([0.5, 0.5]))
    log_q = coordinate_ascent.sweep(graph, [table], [half, jnp.log(jnp.array([0.5, 0.0, 0.5]))])
    assert log_q[1][1] == -jnp.inf
    value = coordinate_ascent.bound(graph, [table], log_q)
    assert np.isfinite(value)
    assert value < factor_graph.log_partition(graph, [table])
    assert coordinate_ascent.bound(graph, [table], coordinate_ascent.uniform(graph)) == -jnp.inf
    with pytest.raises(ValueError, match="log_q"):
        coordinate_ascent.bound(graph, [table], [half, half])


def test_tables_may_share_an_array(x64):
    """Two tables as one array of two: the same bound and the same step."""
    graph = FactorGraph((2, 2, 2), ((0, 1), (1, 2), (0,)))
    tables = [jnp.asarray(t[0]) for t in draw(graph, 1, forbidden=0)]
    together = [jnp.stack(tables[:2]), tables[2]]
    log_q = coordinate_ascent.uniform(graph)
    for function in (coordinate_ascent.bound, coordinate_ascent.sweep):
        both = [function(graph, given, log_q) for given in (tables, together)]
        jax.tree.map(np.testing.assert_array_equal, *both)
