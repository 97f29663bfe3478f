# SPDX-License-Identifier: Apache-2.0
"""Three bilinear operations whose derivatives are each other, against JAX's own convolution."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxml.layers.convolution_geometry import Geometry
from jaxml.layers.convolution_primitive import convolve, input_gradient, kernel_gradient

OPERATIONS = {
    "output": (convolve, ("input", "kernel")),
    "input": (input_gradient, ("output", "kernel")),
    "kernel": (kernel_gradient, ("input", "output")),
}


def square(size, window, stride, padding, dilation=1, groups=1):
    pairs = ((padding, padding),) * 2
    return Geometry((size, size + 1), window, (stride,) * 2, pairs, (dilation,) * 2, groups)


DIFFERENTIATED = {
    "3x3": square(5, (3, 3), 1, 1),
    "4x4 stride 2": square(6, (4, 4), 2, 1),
    "3x2 stride 3, groups": square(6, (3, 2), 3, 1, groups=2),
    "3x3 dilation 2": square(6, (3, 3), 1, 2, 2),
}


def native(x, kernel, geometry):
    """The operation of JAX that everybody trusts, with derivatives of its own."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x,
        kernel,
        geometry.stride,
        geometry.padding,
        rhs_dilation=geometry.dilation,
        dimension_numbers=numbers,
        feature_group_count=geometry.groups,
    )


def loss(convolution, geometry):
    return lambda x, kernel: jnp.sum(jnp.tanh(convolution(x, kernel, geometry)) ** 2)


def directions(arrays):
    x, kernel = arrays["input"], arrays["kernel"]
    return (x, kernel), (jnp.sin(3 * x), jnp.cos(3 * kernel))


@pytest.mark.parametrize("geometry", DIFFERENTIATED.values(), ids=DIFFERENTIATED.keys())
def test_derivatives_of_every_mode_and_order(x64, geometry, operands):
    """Value, jvp, grad, grad of grad, jvp of grad of grad and grad of jvp equal JAX's to 1e-12."""
    primal, tangent = directions(operands(geometry))

    def derivatives(convolution):
        f = loss(convolution, geometry)
        gradient = jax.grad(f, (0, 1))

        def penalty(x, kernel):
            return sum(jnp.sum(jnp.sin(part)) for part in gradient(x, kernel))

        def slope(x, kernel):
            return jax.jvp(f, (x, kernel), tangent)[1]

        return {
            "forward": jax.jvp(f, primal, tangent),
            "forward over reverse": jax.jvp(gradient, primal, tangent),
            "reverse over reverse": jax.grad(penalty, (0, 1))(*primal),
            "reverse over forward": jax.grad(slope, (0, 1))(*primal),
            "third order": jax.jvp(jax.grad(penalty, (0, 1)), primal, tangent),
        }

    ours, theirs = jax.jit(lambda: (derivatives(convolve), derivatives(native)))()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-11), ours, theirs
    )


def test_gradient_is_a_difference_quotient(x64, operands):
    """The derivative along a direction equals fourth-order differences of the value to 1e-8."""
    geometry = DIFFERENTIATED["4x4 stride 2"]
    (x, kernel), (dx, dk) = directions(operands(geometry))
    f = jax.jit(loss(convolve, geometry))
    x, kernel, dx, dk = map(np.asarray, (x, kernel, dx, dk))
    h = 1e-4
    ahead, behind, far_ahead, far_behind = (
        float(f(x + t * h * dx, kernel + t * h * dk)) for t in (1, -1, 2, -2)
    )
    quotient = (8 * (ahead - behind) - (far_ahead - far_behind)) / (12 * h)
    gx, gk = jax.jit(jax.grad(f, (0, 1)))(x, kernel)
    np.testing.assert_allclose(np.vdot(gx, dx) + np.vdot(gk, dk), quotient, rtol=1e-8)


def test_hessian(x64):
    """The full Hessian, forward over reverse under vmap, equals JAX's to 1e-12."""
    geometry = Geometry((3, 4), (2, 2), (2, 1), ((1, 0), (0, 0)), (1, 1), 1)
    rng = np.random.default_rng(1)
    x, kernel = (jnp.asarray(rng.normal(size=s)) for s in ((1, 3, 4, 1), (2, 2, 1, 2)))
    ours, theirs = jax.jit(
        lambda x, k: tuple(jax.hessian(loss(f, geometry), (0, 1))(x, k) for f in (convolve, native))
    )(x, kernel)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), ours, theirs
    )


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("role", OPERATIONS)
def test_vmap_is_a_loop(x64, role, groups, operands):
    """Over the first operand, the second, both, and one after the other, at any axis."""
    geometry = square(5, (3, 2), 2, 1, groups=groups)
    operation, names = OPERATIONS[role]
    one, two = ([operands(geometry, seed=seed)[name] for seed in (0, 1)] for name in names)
    f = jax.jit(lambda a, b: operation(a, b, geometry))
    table = np.stack([[f(a, b) for b in two] for a in one])

    def stack(arrays, axis):
        return jnp.stack(arrays, axis)

    @jax.jit
    def mapped():
        def plain(a, b):
            return operation(a, b, geometry)

        return {
            "first": jax.vmap(plain, (2, None), 1)(stack(one, 2), two[0]),
            "second": jax.vmap(plain, (None, 3))(one[0], stack(two, 3)),
            "both": jax.vmap(plain, (1, 4))(stack(one, 1), stack(two, 4)),
            "all": jax.vmap(jax.vmap(plain, (None, 0)), (0, None))(stack(one, 0), stack(two, 0)),
        }

    got = mapped()
    np.testing.assert_allclose(jnp.moveaxis(got["first"], 1, 0), table[:, 0], atol=1e-12)
    np.testing.assert_allclose(got["second"], table[0], atol=1e-12)
    np.testing.assert_allclose(got["both"], table[[0, 1], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(got["all"], table, atol=1e-12)


def test_gradients_of_an_ensemble(x64, operands):
    """vmap of grad over images and kernels equals grad of each."""
    geometry = square(4, (2, 2), 1, 1)
    draws = [operands(geometry, seed=seed) for seed in (0, 1, 2)]
    x, kernel = (jnp.stack([draw[name] for draw in draws]) for name in ("input", "kernel"))
    gradient = jax.grad(loss(convolve, geometry), (0, 1))
    together = jax.jit(jax.vmap(gradient))(x, kernel)
    single = jax.jit(gradient)
    for n in range(3):
        for a, b in zip(together, single(x[n], kernel[n]), strict=True):
            np.testing.assert_allclose(a[n], b, atol=1e-12)


def test_scan_and_checkpoint(operands):
    """Ten descent steps in a scan equal ten in Python; so they do with the step recomputed."""
    geometry = square(6, (4, 4), 2, 1)
    arrays = operands(geometry, dtype=np.float32)
    x = arrays["input"]
    f = loss(convolve, geometry)

    def step(f):
        return lambda kernel: kernel - 1e-3 * jax.grad(f, 1)(x, kernel)

    kernel, once = arrays["kernel"], jax.jit(step(f))
    for _ in range(10):
        kernel = once(kernel)
    for g in (f, jax.checkpoint(f)):
        scanned, _ = jax.jit(
            lambda k, g=g: lax.scan(lambda k, _: (step(g)(k), None), k, None, length=10)
        )(arrays["kernel"])
        np.testing.assert_allclose(scanned, kernel, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", ["kernel", "input"])
def test_shard_map(shared, operands):
    """In `shard_map` the operand that all devices share has its gradient summed over them."""
    geometry = square(5, (3, 3), 1, 1)
    arrays = operands(geometry, dtype=np.float32)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    specs = tuple(
        PartitionSpec() if name == shared else PartitionSpec("data") for name in ("input", "kernel")
    )
    gradient = jax.grad(loss(convolve, geometry), (0, 1))
    mapped = jax.shard_map(gradient, mesh=mesh, in_specs=specs, out_specs=specs)
    args = arrays["input"], arrays["kernel"]
    got, want = jax.jit(mapped)(*args), jax.jit(gradient)(*args)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), got, want)


@pytest.mark.parametrize("spec", [(), (None, None, None, "data")])
def test_explicit_sharding(spec, operands):
    """On a mesh with explicit axes gradients are typed as the operands, split batch or kernel."""
    geometry = square(5, (3, 3), 1, 1)
    arrays = operands(geometry, dtype=np.float32)
    gradient = jax.jit(jax.grad(loss(convolve, geometry), (0, 1)))
    want = gradient(arrays["input"], arrays["kernel"])
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))
    shardings = [NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), spec)]
    with jax.set_mesh(mesh):
        args = [
            jax.device_put(arrays[name], sharding)
            for name, sharding in zip(("input", "kernel"), shardings, strict=True)
        ]
        got = gradient(*args)
    for a, b, arg in zip(got, want, args, strict=True):
        assert jax.typeof(a).sharding.spec == jax.typeof(arg).sharding.spec
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def convolutions(text):
    """Of each convolution in a lowered module: layout, window and groups; sorted."""
    pattern = r"stablehlo\.convolution.*?dim_numbers = (.*?)(?:precision|:)"
    return sorted(re.findall(pattern, text.replace("\n", " ")))


@pytest.mark.parametrize("platform", ["cuda", "tpu", "rocm"])
@pytest.mark.parametrize("geometry", DIFFERENTIATED.values(), ids=DIFFERENTIATED.keys())
def test_accelerators_keep_the_native_operations(platform, geometry, operands):
    """Lowered for an accelerator, value and gradients are JAX's own convolutions, one for one."""
    arrays = operands(geometry, dtype=np.float32)
    texts = []
    for f in (convolve, native):
        traced = jax.jit(jax.value_and_grad(loss(f, geometry), (0, 1))).trace(
            arrays["input"], arrays["kernel"]
        )
        texts.append(traced.lower(lowering_platforms=(platform,)).as_text())
    ours, theirs = map(convolutions, texts)
    assert len(theirs) == 3
    assert ours == theirs
    stride = geometry.stride[0]
    assert stride == 1 or f"lhs_dilate = [{stride}, {stride}]" in texts[0]


@pytest.mark.parametrize("geometry", DIFFERENTIATED.values(), ids=DIFFERENTIATED.keys())
def test_no_slow_layout_reaches_the_cpu(geometry, operands):
    """Gradients of first and second order, lowered for the CPU, are channels-last throughout."""
    arrays = operands(geometry, dtype=np.float32)
    f = loss(convolve, geometry)
    primal, tangent = directions(arrays)
    lowered = jax.jit(lambda *args: jax.jvp(jax.grad(f, (0, 1)), args, tangent)).lower(*primal)
    numbers = re.findall(r"dim_numbers = (\S.*?), window", lowered.as_text())
    assert len(numbers) >= 6
    assert set(numbers) == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}
    assert "lhs_dilate = [2" not in lowered.as_text()


def test_one_module_for_two_platforms(operands):
    """A module lowered for both a CPU and a GPU holds each one's own form."""
    geometry = DIFFERENTIATED["3x3"]
    arrays = operands(geometry, dtype=np.float32)
    traced = jax.jit(jax.grad(loss(convolve, geometry), 1)).trace(arrays["input"], arrays["kernel"])
    text = traced.lower(lowering_platforms=("cpu", "cuda")).as_text()
    assert len(convolutions(text)) == 4


def test_dtypes_must_agree(operands):
    """Mixed precision is decided by whoever calls, not in here."""
    geometry = DIFFERENTIATED["3x3"]
    arrays = operands(geometry, dtype=np.float32)
    with pytest.raises(TypeError, match="one dtype"):
        convolve(arrays["input"], arrays["kernel"].astype(jnp.float16), geometry)
