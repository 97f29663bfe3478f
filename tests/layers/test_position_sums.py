# SPDX-License-Identifier: Apache-2.0
"""Sums over positions and affine maps are what they say, in every mode and on every platform."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxml.layers import batch_norm, group_norm
from jaxml.layers.position_sums import affine, products, squares
from jaxml.layers.sums_by_block import FEW, plain

SMALL, LARGE, UNEVEN = (2, 6, 3), (4, 784, 64), (3, 701, 67)
"""Summed at once; by a loop of whole blocks; by a loop with a rest of rows."""


def draw(shape, dtype="f8"):
    """x, s, g, a, b."""
    rng = np.random.default_rng(0)
    n, _, c = shape
    shapes = (shape, (n, 1, c), shape, (n, 1, c), (n, 1, c))
    return [jnp.asarray(rng.normal(size=size), dtype) for size in shapes]


def ours(x, shift, g, slope, start):
    return squares(x, shift), products(x, shift, g), affine(x, shift, slope, start)


def theirs(x, shift, g, slope, start):
    d = x - shift
    return plain(x, shift, None), plain(x, shift, g), d * slope + start


def weighted(f, *args):
    """A number of all results; its own slopes are not constant."""
    leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(f(*args))]
    return sum(
        jnp.vdot(jnp.sin(leaf / leaf.size), jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)))
        for leaf in leaves
    )


def assert_close(got, truth, tol=1e-11):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(truth), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = np.abs(b).max() + 1
        np.testing.assert_allclose(np.asarray(a) / scale, np.asarray(b) / scale, atol=tol)


@pytest.mark.parametrize("shape", [SMALL, LARGE, UNEVEN])
def test_sums_are_those_of_numpy(shape, x64):
    """Σ d, Σ d², Σ g, Σ d g and d a + b, in double precision."""
    x, shift, g, slope, start = map(np.asarray, draw(shape))
    d = x - shift
    sums = [v.sum(1, keepdims=True) for v in (d, d * d, g, d * g)]
    got = jax.jit(ours)(*draw(shape))
    assert_close(got, (*sums, d * slope + start))


@pytest.mark.parametrize("shape", [SMALL, UNEVEN])
def test_derivatives_of_every_mode_are_those_of_the_formula(shape, x64):
    """Reverse, forward, reverse of both: along one direction of every argument, shift included."""
    args = tuple(draw(shape))
    direction = tuple(jnp.cos(3 * a) for a in args)
    every = tuple(range(len(args)))

    @partial(jax.jit, static_argnums=0)
    def modes(f, args):
        total = partial(weighted, f)
        gradient = jax.grad(total, every)
        return (
            gradient(*args),
            jax.jvp(f, args, direction)[1],
            jax.jvp(gradient, args, direction)[1],
            jax.grad(lambda *a: jax.jvp(total, a, direction)[1], every)(*args),
            jax.grad(lambda *a: weighted(gradient, *a), every)(*args),
        )

    for one, other in zip(modes(ours, args), modes(theirs, args), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize(
    "mapped", [(0, 0, 0, 0, 0), (1, None, 2, None, 0), (None, 0, None, 2, None)]
)
def test_vmap_of_some_arguments(mapped, x64):
    """Whichever arguments are mapped, along whichever axis; slopes too."""
    args = [
        a if axis is None else jnp.stack([a, 2 * a, a - 1], axis)
        for a, axis in zip(draw(SMALL), mapped, strict=True)
    ]

    @partial(jax.jit, static_argnums=0)
    def both(f, args):
        slopes = jax.grad(partial(weighted, f), (0, 1, 2, 3, 4))
        return jax.vmap(f, mapped)(*args), jax.vmap(slopes, mapped)(*args)

    assert_close(both(ours, args), both(theirs, args))


def test_scan_and_checkpoint(x64):
    """Slopes through a scan of recomputed steps."""
    args = draw(LARGE)

    def through(f, args):
        def step(total, scale):
            return total + weighted(f, *(scale * a for a in args)), None

        return lax.scan(jax.checkpoint(step), jnp.zeros(()), jnp.arange(1.0, 3.0))[0]

    gradient = jax.jit(jax.grad(through, 1), static_argnums=0)
    assert_close(gradient(ours, args), gradient(theirs, args))


def test_only_a_cpu_loops_over_blocks():
    """The lowered modules: a loop where the data are large and the platform is a CPU."""
    for shape, n_loops in ((LARGE, 2), (SMALL, 0)):
        traced = jax.jit(ours).trace(*draw(shape, "f4"))
        assert (np.prod(shape) >= FEW) == bool(n_loops)
        for platform in ("cpu", "cuda", "tpu"):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            assert text.count("stablehlo.while") == (n_loops if platform == "cpu" else 0)


def norms(x, scale, bias):
    """Group norm and batch norm of training, as a loss of data and parameters."""
    zero = jnp.zeros_like(scale)
    y = group_norm(x, scale, bias, groups=2)
    z = batch_norm(x, zero, zero, scale, bias).y
    return jnp.sum(jnp.sin(y) + jnp.square(z) * x)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_normalizations_on_a_mesh(kind):
    """A batch split over devices, in one program: slopes are typed and valued as without a mesh."""
    x = jax.random.normal(jax.random.key(0), (8, 4, 5, 6))
    args = (x, jnp.linspace(0.5, 1.5, 6), jnp.linspace(-1.0, 1.0, 6))
    gradient = jax.jit(jax.grad(norms, (0, 1, 2)))
    want = gradient(*args)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(kind,))
    split = [NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), (), ())]
    with jax.set_mesh(mesh):
        got = gradient(*map(jax.device_put, args, split))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_normalization_inside_shard_map():
    """Parameters that all devices share have their slopes summed over them."""
    x = jax.random.normal(jax.random.key(0), (8, 4, 5, 6))
    args = (x, jnp.linspace(0.5, 1.5, 6), jnp.linspace(-1.0, 1.0, 6))
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    specs = (PartitionSpec("data"), PartitionSpec(), PartitionSpec())

    def loss(x, scale, bias):
        return jnp.sum(jnp.sin(group_norm(x, scale, bias, groups=2)))

    gradient = jax.grad(loss, (0, 1, 2))
    mapped = jax.jit(jax.shard_map(gradient, mesh=mesh, in_specs=specs, out_specs=specs))
    assert_close(mapped(*args), jax.jit(gradient)(*args), 1e-5)
