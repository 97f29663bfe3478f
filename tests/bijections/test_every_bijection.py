# SPDX-License-Identifier: Apache-2.0
"""What holds for every bijection: a thousand draws, edges of the domain and far outside included.

A bijection is added by one line in `CASES` of `case.py`; the last test finds forgotten ones.
"""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import bijections
from tests.bijections.case import CASES, draws


def looked_at(case, x, params):
    """Of one event, there and back; both log-determinants; from the range to x and forth."""
    f = case.bijection
    y, log_det = f.forward(x, params)
    back, log_back = f.inverse(y, params)
    source = f.inverse(x, params)[0]
    there = f.forward(source, params)[0]
    return {
        "log_det": log_det,
        "back": back,
        "log_back": log_back,
        "source": source,
        "there": there,
    }


def by_autodiff(case, x, params):
    """The singular values of both Jacobians, and the log-determinant of the first."""
    jacobians = [
        jax.jacfwd(lambda x, map_=map_: map_(x, params)[0])(x).reshape(x.size, x.size)
        for map_ in case.bijection[:2]
    ]
    slopes = [jnp.linalg.svd(jacobian, compute_uv=False) for jacobian in jacobians]
    return jnp.linalg.slogdet(jacobians[0])[1], *slopes


def inside(x, interval):
    return ((x > interval[0]) & (x < interval[1])).all(tuple(range(1, x.ndim)))


def tame(slopes):
    """Slopes, of vectors all singular values, in [1e-3, 1e3]."""
    return ((slopes >= 1e-3) & (slopes <= 1e3)).all(-1)


def far(case, a, b):
    """|a − b| / (1 + |b|), the largest of every event; on a circle the shorter way."""
    gap = np.abs(a - b)
    if case.wrapped:
        period = case.domain[1] - case.domain[0]
        gap = np.abs((gap + period / 2) % period - period / 2)
    return (gap / (1 + np.abs(b))).reshape(len(a), -1).max(-1)


def every(case, dtype, size):
    """How many draws have slopes in range, and the errors of the laws over them.

    f undoes f⁻¹ for all numbers in its range and for vectors with slopes in range, but for what
    the slope of f makes of one rounding of x.
    Autodiff is done in double precision, whatever the precision of the functions.
    """
    x, params = draws(case, dtype, size)
    got = jax.jit(jax.vmap(partial(looked_at, case)))(x, params)
    got = {name: np.asarray(value, "f8") for name, value in got.items()}
    wide = jax.tree.map(lambda a: a.astype("f8") if a.dtype == dtype else a, (x, params))
    truth, slopes, of_inverse = map(
        np.asarray, jax.jit(jax.vmap(partial(by_autodiff, case)))(*wide)
    )
    x = np.asarray(x, "f8")
    good = tame(slopes) & inside(x, case.domain)
    solvable = tame(of_inverse) if x.ndim > 1 else of_inverse.min(-1) > 0
    reached = inside(x, case.range) & solvable
    # What is lost already when the exact f⁻¹(y) is rounded to a float.
    size_of_source = 1 + np.abs(got["source"]).reshape(len(x), -1).max(-1)
    with np.errstate(divide="ignore"):
        rounding = 4 * np.finfo(dtype).eps * size_of_source / of_inverse.min(-1)
    return good.sum(), {
        "log_det": np.abs(got["log_det"] - truth)[good],
        "back": far(case, got["back"], x)[good],
        "both": np.abs(got["log_det"] + got["log_back"])[good],
        "there": np.maximum(far(case, got["there"], x) - rounding, 0)[reached],
    }


# Raw parameters of size 20 leave these no draw with slopes in range.
STIFF = {"lu_linear", "chain"}
SLOW = {"chain", "scan", "side_by_side", "sigmoids", "sylvester"}
SIZES = [
    pytest.param(name, size, marks=[pytest.mark.slow] * (size == 20))
    for name in CASES
    for size in (1, 20)
    if size == 1 or name not in STIFF
]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_in_double_precision(name, size, x64):
    """The log-determinant is that of autodiff; f⁻¹ undoes f, f undoes f⁻¹; both sum to 0."""
    n, error = every(CASES[name], "f8", size)
    assert n > (300 if size == 1 else 5)
    most = {"log_det": 1e-12 if size == 1 else 1e-9, "back": 1e-8, "both": 1e-9, "there": 1e-10}
    for law, bound in most.items():
        assert error[law].max() <= bound, law


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in CASES]
)
def test_in_single_precision(name, x64):
    """The same laws with the digits of float32."""
    n, error = every(CASES[name], "f4", 1)
    assert n > 300
    for law, bound in {"log_det": 1e-4, "back": 1e-3, "both": 1e-3, "there": 1e-5}.items():
        assert error[law].max() <= bound, law


@pytest.mark.parametrize("dtype", [pytest.param("f8", marks=pytest.mark.slow), "f4"])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in CASES]
)
def test_gradients_are_finite_everywhere(name, dtype, x64):
    """Of image and log-determinant, both ways, in x and every parameter, outside the domain too."""
    case = CASES[name]

    def total(map_, x, params):
        y, log_det = map_(x, params)
        return y.sum() + log_det.sum()

    sizes = (1,) if dtype == "f4" else (1, 20)
    for size in sizes:
        x, params = draws(case, dtype, size)
        floats, rest = split_floats(params)
        for map_ in case.bijection[:2]:

            def loss(x, floats, rest, map_=map_):
                return total(map_, x, join_floats(floats, rest))

            slopes = jax.jit(jax.vmap(jax.grad(loss, (0, 1))))(x, floats, rest)
            for leaf in jax.tree.leaves(slopes):
                assert leaf.dtype == dtype
                assert np.isfinite(leaf).all(), (size, map_)


def split_floats(params):
    leaves, structure = jax.tree.flatten(params)
    floats = {i: a for i, a in enumerate(leaves) if jnp.issubdtype(a.dtype, jnp.floating)}
    return floats, ({i: a for i, a in enumerate(leaves) if i not in floats}, Static(structure))


class Static:
    """A tree's structure, passed through vmap."""

    def __init__(self, structure):
        self.structure = structure


jax.tree_util.register_pytree_node(Static, lambda s: ((), s.structure), lambda s, _: Static(s))


def join_floats(floats, rest):
    whole, static = rest
    both = floats | whole
    return jax.tree.unflatten(static.structure, [both[i] for i in sorted(both)])


def test_every_public_bijection_is_here():
    """A pair of functions, by the name of the first; the rest is what they are made of."""
    functions = {name: inspect.unwrap(getattr(bijections, name)) for name in bijections.__all__}
    offered = {name for name, function in functions.items() if inspect.isfunction(function)}
    made_of = {"actnorm", "sum_last", "root", "orthonormal", "lu_rotation", "split", "join",
               "dequantize", "quantize", "uniform_noise",
               "fixed_point", "log_det_series", "series_bound",
               "transport", "exact_trace", "hutchinson_trace"}  # fmt: skip
    inverses = {name for name in offered if name.endswith("_inverse")}
    assert offered - made_of - inverses == set(CASES)
