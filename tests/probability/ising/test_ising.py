# SPDX-License-Identifier: Apache-2.0
"""Spins on rectangles, against sums over all of them, elimination, and the plane of Onsager."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxml.probability import factor_graph, ising

SIZES = [(3, 3), (4, 2), (2, 4), (1, 5), (5, 1), (1, 1)]


def draw(rows, columns, scale=0.7):
    rng = np.random.default_rng(rows + 10 * columns)
    shapes = (rows, columns - 1), (rows - 1, columns), (rows, columns)
    return ising.Grid(*(jnp.asarray(scale * rng.normal(size=shape)) for shape in shapes))


def enumerated(grid):
    """log Z, E s and the correlations, from all configurations."""
    shape = grid.field.shape
    spins = np.array(list(itertools.product([-1.0, 1.0], repeat=int(np.prod(shape)))))
    spins = spins.reshape(-1, *shape)
    w = np.asarray(jax.jit(jax.vmap(lambda s: ising.log_weight(grid, s)))(jnp.asarray(spins)))
    log_z = np.log(np.exp(w - w.max()).sum()) + w.max()
    p = np.exp(w - log_z)
    right = np.einsum("n,nij,nij->ij", p, spins[:, :, :-1], spins[:, :, 1:])
    down = np.einsum("n,nij,nij->ij", p, spins[:, :-1], spins[:, 1:])
    return log_z, ising.Grid(right, down, np.einsum("n,nij->ij", p, spins))


@pytest.mark.parametrize("size", SIZES)
def test_exact_sums(size, x64):
    """log Z and its slopes, the expectations, are those of the enumeration to 1e-12."""
    grid = draw(*size)
    log_z, slopes = jax.jit(jax.value_and_grad(ising.log_partition))(grid)
    expected, moments = enumerated(grid)
    np.testing.assert_allclose(log_z, expected, rtol=1e-12)
    for slope, moment in zip(slopes, moments, strict=True):
        np.testing.assert_allclose(slope, moment, atol=1e-12)


@pytest.mark.parametrize("size", [(3, 3), (2, 4), (5, 2), (1, 4), (4, 1)])
def test_exact_draws(size, x64):
    """How often each configuration is drawn: chi squared against the enumeration."""
    grid, n = draw(*size, scale=0.5), 40_000
    spins = np.asarray(jax.jit(ising.sample, static_argnums=2)(grid, jax.random.key(1), n))
    assert spins.shape == (n, *size)
    assert set(np.unique(spins)) == {-1.0, 1.0}
    every = np.array(list(itertools.product([-1.0, 1.0], repeat=int(np.prod(size)))))
    weight = jax.jit(jax.vmap(lambda s: ising.log_weight(grid, s)))
    w = np.asarray(weight(jnp.asarray(every.reshape(-1, *size))))
    expected = n * np.exp(w - w.max()) / np.exp(w - w.max()).sum()
    place = (spins.reshape(n, -1) > 0) @ (1 << np.arange(spins[0].size)[::-1])
    counts = np.bincount(place, minlength=len(every))
    rare = expected < 5
    pooled = [np.append(a[~rare], a[rare].sum()) for a in (counts, expected)]
    pooled = [a[pooled[1] > 0] for a in pooled]
    assert scipy.stats.chisquare(*pooled).pvalue > 1e-3


def test_exact_draws_have_the_slopes_of_log_z_as_means():
    """Each spin and each pair of a 7 x 6 rectangle within 4.5 standard errors, in float32 too."""
    grid, n = jax.tree.map(lambda a: a.astype(jnp.float32), draw(7, 6, scale=0.4)), 20_000
    spins = jax.jit(ising.sample, static_argnums=2)(grid, jax.random.key(2), n)
    means = jax.jit(jax.grad(ising.log_partition))(grid)
    found = spins[:, :, :-1] * spins[:, :, 1:], spins[:, :-1] * spins[:, 1:], spins
    for values, mean in zip(found, means, strict=True):
        error = np.sqrt((1 - np.square(mean)) / n)
        assert (np.abs(values.mean(0) - mean) < 4.5 * error).all()


def test_weights_are_sums_over_pairs(x64):
    """log weights of both forms, pair by pair by hand; and log Z by an independent elimination."""
    grid, rng = draw(3, 4), np.random.default_rng(0)
    graph, tables = ising.as_factors(grid)
    right, down, field = map(np.asarray, grid)
    for _ in range(3):
        s = rng.choice([-1.0, 1.0], size=(3, 4))
        by_hand = sum(field[i, j] * s[i, j] for i in range(3) for j in range(4))
        by_hand += sum(right[i, j] * s[i, j] * s[i, j + 1] for i in range(3) for j in range(3))
        by_hand += sum(down[i, j] * s[i, j] * s[i + 1, j] for i in range(2) for j in range(4))
        np.testing.assert_allclose(ising.log_weight(grid, jnp.asarray(s)), by_hand, rtol=1e-13)
        x = jnp.asarray(s.ravel() > 0, jnp.int32)
        np.testing.assert_allclose(factor_graph.log_weight(graph, tables, x), by_hand, rtol=1e-13)
    exact = factor_graph.log_partition(graph, tables)
    np.testing.assert_allclose(ising.log_partition(grid), exact, rtol=1e-13)


def test_uniform_couplings_are_floats():
    """Whole numbers too, and the wider of two kinds of float."""
    assert {a.dtype for a in ising.uniform(2, 3, 1, 0)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("coupling", "gap"), [(0.2, 1e-12), (0.3, 1e-7), (-0.3, 1e-7), (0.7, 1e-3)]
)
def test_large_rectangles_approach_the_plane(coupling, gap, x64):
    """log Z per spin without its borders, as a difference of four rectangles, is Onsager's.

    What is left falls with the side over the correlation length, so most slowly near 0.44.
    """

    @partial(jax.jit, static_argnums=(0, 1))
    def run(rows, columns):
        return ising.log_partition(ising.uniform(rows, columns, coupling))

    inner = run(10, 10) - run(10, 9) - run(9, 10) + run(9, 9)
    np.testing.assert_allclose(inner, ising.plane(jnp.float64(coupling)), atol=gap)


def test_the_plane_at_its_critical_point(x64):
    """log Z/n = ½ log 2 + 2 G/π = 0.929695, with Catalan's constant G."""
    critical = jnp.float64(0.5 * np.log(1 + np.sqrt(2)))
    expected = 0.5 * np.log(2) + 2 * 0.915965594177219015 / np.pi
    np.testing.assert_allclose(ising.plane(critical), expected, atol=1e-7)
    np.testing.assert_allclose(ising.plane(jnp.float64(0.0)), np.log(2), rtol=1e-14)


@pytest.mark.parametrize("size", [(1, 7), (6, 1)])
def test_messages_are_exact_for_one_row(size, x64):
    grid = draw(*size, scale=1.5)
    found = jax.jit(lambda grid: ising.sum_product(grid, 8))(grid)
    log_z, moments = enumerated(grid)
    np.testing.assert_allclose(found.log_partition, log_z, rtol=1e-12)
    np.testing.assert_allclose(found.magnetization, moments.field, atol=1e-12)
    np.testing.assert_allclose(found.right, moments.right, atol=1e-12)
    np.testing.assert_allclose(found.down, moments.down, atol=1e-12)
    assert found.change < 1e-12


def test_messages_are_those_of_the_factor_graph(x64):
    """On a rectangle with loops both forms settle at the same beliefs, to 1e-11."""
    grid = draw(3, 4, scale=0.4)
    graph, tables = ising.as_factors(grid)
    found = jax.jit(lambda grid: ising.sum_product(grid, 300, damping=0.2))(grid)
    other = jax.jit(lambda tables: factor_graph.sum_product(graph, tables, 300))(tables)
    assert max(found.change, other.change) < 1e-13
    np.testing.assert_allclose(found.log_partition, other.log_partition, rtol=1e-12)
    p = np.exp(other.log_beliefs)
    np.testing.assert_allclose(found.magnetization.ravel(), p[:, 1] - p[:, 0], atol=1e-11)
    b = np.exp(other.factor_log_beliefs[0])
    correlations = b[:, 0, 0] + b[:, 1, 1] - b[:, 0, 1] - b[:, 1, 0]
    flat = np.concatenate([np.ravel(found.right), np.ravel(found.down)])
    np.testing.assert_allclose(flat, correlations, atol=1e-11)
    slope = jax.jit(jax.grad(lambda grid: ising.sum_product(grid, 300).log_partition))(grid)
    np.testing.assert_allclose(slope.field, found.magnetization, atol=1e-9)


def test_messages_survive_strong_couplings():
    """In single precision a field of 200 neither overflows nor loses its sign."""
    grid = ising.uniform(4, 4, 200.0, 1.0)
    found = jax.jit(lambda grid: ising.sum_product(grid, 20))(grid)
    np.testing.assert_array_equal(found.magnetization, 1)
    np.testing.assert_allclose(found.log_partition, 24 * 200 + 16, rtol=1e-5)


def test_sweeps_have_the_law(x64):
    """4000 chains of 40 sweeps: means and correlations within 4.5 standard errors of the exact."""
    grid = draw(3, 3, scale=0.5)
    _, moments = enumerated(grid)

    @jax.jit
    @jax.vmap
    def chain(key):
        def step(s, i):
            return ising.gibbs_sweep(grid, s, jax.random.fold_in(key, i)), None

        return jax.lax.scan(step, jnp.ones((3, 3)), jnp.arange(40))[0]

    s = np.asarray(chain(jax.random.split(jax.random.key(3), 4000)))
    assert set(np.unique(s)) == {-1.0, 1.0}
    for found, expected in (
        (s, moments.field),
        (s[:, :, :-1] * s[:, :, 1:], moments.right),
        (s[:, :-1] * s[:, 1:], moments.down),
    ):
        error = np.sqrt((1 - expected**2) / 4000)
        assert np.all(np.abs(found.mean(0) - expected) < 4.5 * error)


def test_what_is_refused():
    grid = ising.uniform(3, 2, 0.1)
    for wrong in (grid._replace(right=grid.right[:2]), grid._replace(down=grid.down[:, :1])):
        with pytest.raises(ValueError, match="expected shape"):
            ising.log_weight(wrong, grid.field)
    with pytest.raises(ValueError, match="columns: expected at least 1"):
        ising.uniform(3, 0, 0.1)
    with pytest.raises(ValueError, match="grid: expected at most 20 columns, got 21"):
        ising.log_partition(ising.uniform(2, 21, 0.1))
    with pytest.raises(ValueError, match="n_steps"):
        ising.sum_product(grid, 0)
    with pytest.raises(ValueError, match="damping"):
        ising.sum_product(grid, 1, damping=1.0)
