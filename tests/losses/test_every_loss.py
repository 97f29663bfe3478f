# SPDX-License-Identifier: Apache-2.0
"""What holds for every loss: under transformations, at extreme values, in half precision.

A loss is added by one line in `CASES`.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.losses import adversarial, classification, regression
from jaxml.losses import negative_log_likelihood as nll
from jaxml.probability import divergence

N, N_CLASSES = 6, 3
EDGES = [s * v for v in (0.0, 1.0, 20.0, 89.0, 1e4) for s in (1, -1)]  # of raw outputs
DATA = [s * v for v in (0.0, 1e-30, 1.0, 1e2, 1e4) for s in (1, -1)]


class Kind(NamedTuple):
    """What a loss compares its raw outputs with: how it is drawn, and its extreme values."""

    draw: Callable[[np.random.Generator], np.ndarray]
    extremes: list
    has_class_axis: bool = False


def distribution(rng):
    return rng.dirichlet(np.ones(N_CLASSES), N)


REAL = Kind(lambda rng: rng.normal(size=N), DATA)
COUNT = Kind(lambda rng: rng.poisson(8, N) * 1.0, [0.0, 1e-30, 1.0, 7.0, 8.0, 1e2, 1e4])
BIT = Kind(lambda rng: rng.integers(0, 2, N) * 1.0, [0.0, 0.25, 1.0])
CLASS = Kind(lambda rng: rng.integers(0, N_CLASSES, N), list(range(N_CLASSES)), True)
SOFT = Kind(distribution, [[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]], True)
LOGITS = Kind(
    lambda rng: rng.normal(size=(N, N_CLASSES)), [[0, 0, 0], [1e4, -1e4, 0], [89, 20, -89]], True
)


class Case(NamedTuple):
    """A loss of `n_raw` raw outputs and one target, and whether it is smooth everywhere."""

    loss: Callable
    target: Kind
    n_raw: int = 1
    smooth: bool = True


def of_probabilities(f):
    """The second distribution excludes nothing: what it excluded would cost infinity."""

    def g(p_logits, q_logits):
        p, q = (jax.nn.softmax(v, axis=-1) for v in (p_logits, q_logits))
        return f(p, classification.smooth_labels(q, 0.1, n_classes=N_CLASSES))

    return g


CASES = {
    "squared_error": Case(regression.squared_error, REAL),
    "absolute_error": Case(regression.absolute_error, REAL, smooth=False),
    "huber": Case(regression.huber, REAL, smooth=False),
    "log_cosh": Case(regression.log_cosh, REAL),
    "quantile": Case(partial(regression.quantile, level=0.3), REAL, smooth=False),
    "normal": Case(nll.normal, REAL, n_raw=2),
    "normal_with_variance": Case(partial(nll.normal_with_variance, variance=0.3), REAL),
    "laplace": Case(nll.laplace, REAL, n_raw=2, smooth=False),
    "laplace_with_scale": Case(partial(nll.laplace_with_scale, scale=0.3), REAL, smooth=False),
    "poisson": Case(nll.poisson, COUNT),
    "poisson_of_rate": Case(lambda a, y: nll.poisson_of_rate(jax.nn.softplus(a) + 1e-30, y), COUNT),
    "negative_binomial": Case(nll.negative_binomial, COUNT, n_raw=2),
    "binary_cross_entropy": Case(classification.binary_cross_entropy, BIT),
    "binary_focal": Case(classification.binary_focal, BIT),
    "adversarial_labelled": Case(
        lambda real, fake, y: adversarial.labelled(real, fake, y, 1 - y), BIT, n_raw=2
    ),
    "binary_hinge": Case(classification.binary_hinge, BIT, smooth=False),
    "cross_entropy": Case(classification.cross_entropy, CLASS),
    "soft_cross_entropy": Case(classification.soft_cross_entropy, SOFT),
    "focal": Case(classification.focal, CLASS),
    "hinge": Case(classification.hinge, CLASS, smooth=False),
    "kl_divergence": Case(of_probabilities(divergence.kl_divergence), LOGITS),
    "cross_entropy_of_distributions": Case(of_probabilities(divergence.cross_entropy), LOGITS),
    "kl_divergence_from_logits": Case(divergence.kl_divergence_from_logits, LOGITS),
    "cross_entropy_from_logits": Case(divergence.cross_entropy_from_logits, LOGITS),
}


def draw(case, dtype=np.float64):
    """Raw outputs and target of N examples."""
    rng = np.random.default_rng(0)
    shape = (N, N_CLASSES) if case.target.has_class_axis else (N,)
    raw = [rng.normal(size=shape) * 2 for _ in range(case.n_raw)]
    return [jnp.asarray(a) if a.dtype == int else jnp.asarray(a, dtype)
            for a in (*raw, case.target.draw(rng))]  # fmt: skip


def extremes(case, dtype):
    """All combinations of extreme raw outputs with all extreme targets."""
    width = N_CLASSES if case.target.has_class_axis else case.n_raw
    grid = list(itertools.product(itertools.product(EDGES, repeat=width), case.target.extremes))
    heads, target = np.array([h for h, _ in grid]), np.array([t for _, t in grid])
    raw = [heads] if case.target.has_class_axis else list(heads.T)
    return [jnp.asarray(a) if a.dtype == int and case.target is CLASS else jnp.asarray(a, dtype)
            for a in (*raw, target)]  # fmt: skip


def every(inputs):
    """Each loss of its own inputs: one program to compile instead of twenty."""
    return {name: CASES[name].loss(*args) for name, args in inputs.items()}


def slopes(inputs):
    """Of the sum of each loss, by each of its raw outputs."""
    raw = {name: args[:-1] for name, args in inputs.items()}

    def total(raw):
        values = every({name: [*raw[name], inputs[name][-1]] for name in raw})
        return sum(jnp.sum(value).astype(float) for value in values.values())

    return jax.grad(total)(raw)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tol"), [("f8", 1e-12), ("f4", 1e-5)])
def test_losses_are_the_same_under_every_transformation(dtype, tol, x64):
    """One number an example: plain, jit, vmap, scan, checkpoint; so are the slopes."""
    inputs = {name: draw(case, dtype) for name, case in CASES.items()}
    plain = every(inputs)

    @jax.jit
    def traced(inputs):
        def step(carry, example):
            return carry, jax.checkpoint(every)(example)

        return every(inputs), jax.vmap(every)(inputs), jax.lax.scan(step, 0, inputs)[1]

    for other in traced(inputs):
        for name, value in plain.items():
            assert value.shape == (N,), name
            assert value.dtype == dtype, name
            np.testing.assert_allclose(other[name], value, rtol=tol, atol=tol, err_msg=name)
    one, other = jax.jit(lambda x: (slopes(x), jax.vmap(jax.checkpoint(slopes))(x)))(inputs)
    for name, by in one.items():
        for ours, slope in zip(other[name], by, strict=True):
            np.testing.assert_allclose(ours, slope, rtol=tol, atol=tol, err_msg=name)


def test_derivatives_of_smooth_losses_match_differences_to_second_order(x64):
    """Forward, reverse, and forward over reverse, along one direction of all raw outputs."""
    inputs = {name: draw(case) for name, case in CASES.items() if case.smooth}
    raw = {name: args[:-1] for name, args in inputs.items()}
    leaves, tree = jax.tree.flatten(raw)
    rng = np.random.default_rng(1)
    direction = tree.unflatten([jnp.asarray(rng.normal(size=leaf.shape)) for leaf in leaves])

    def values_and_slopes(raw):
        moved = {name: [*raw[name], inputs[name][-1]] for name in raw}
        return every(moved), slopes(moved)

    @jax.jit
    def along(step):
        moved = jax.tree.map(lambda x, v: x + step * v, raw, direction)
        return jax.jvp(values_and_slopes, (moved,), (direction,))

    step = 1e-5
    (_, slope), (forward, second) = jax.tree.map(np.asarray, along(0.0))
    ends = [jax.tree.map(np.asarray, along(s)[0]) for s in (-step, step)]
    differences = jax.tree.map(lambda low, high: (high - low) / (2 * step), *ends)
    direction = jax.tree.map(np.asarray, direction)
    for name in forward:
        products = zip(slope[name], direction[name], strict=True)
        reverse = sum((s * v).reshape(N, -1).sum(-1) for s, v in products)
        for ours in (forward[name], reverse):
            np.testing.assert_allclose(
                ours, differences[0][name], atol=1e-6, rtol=1e-6, err_msg=name
            )
        for ours, other in zip(second[name], differences[1][name], strict=True):
            np.testing.assert_allclose(ours, other, atol=1e-6, rtol=1e-6, err_msg=name)
        assert any(np.abs(other).max() > 1e-3 for other in differences[1][name]), name


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.bfloat16, marks=pytest.mark.slow)])
def test_any_raw_output_gives_finite_values_and_slopes(dtype):
    """Raw outputs in ±{0, 1, 20, 89, 1e4} with data in ±{0, 1e-30, 1, 100, 1e4}."""
    inputs = {name: extremes(case, dtype) for name, case in CASES.items()}
    for name, value in jax.jit(every)(inputs).items():
        assert value.dtype == jnp.float32, name
        assert np.isfinite(value).all(), name
    for name, by in jax.jit(slopes)(inputs).items():
        for slope in by:
            assert slope.dtype == dtype, name
            assert np.isfinite(np.asarray(slope, np.float32)).all(), name


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_input_is_never_hidden(bad):
    """NaN or an infinity anywhere leaves its example without a finite loss, and only that one.

    Two exceptions: a logit of −inf among others is a class that cannot be, and the registry's
    softplus(−inf) is a rate of 0.
    """
    compiled = jax.jit(every)
    for place in range(3):
        inputs = {name: draw(case, jnp.float32) for name, case in CASES.items()}
        touched = set()
        for name, args in inputs.items():
            excluding = CASES[name].target.has_class_axis or name == "poisson_of_rate"
            excluding = excluding and bad == -np.inf
            if place < len(args) and args[place].dtype == jnp.float32 and not excluding:
                args[place] = args[place].at[1].set(bad)
                touched.add(name)
        assert touched
        for name, value in compiled(inputs).items():
            finite = np.isfinite(value)
            assert finite[1] != (name in touched), name
            assert np.delete(finite, 1).all(), name


@pytest.mark.parametrize(
    ("dtype", "target_dtype"),
    [pytest.param("bfloat16", "float32", marks=pytest.mark.slow), ("float16", "float16")],
)
def test_half_precision_is_widened_before_anything_is_computed(dtype, target_dtype):
    """The loss of halves is exactly that of the same numbers in float32; targets keep their own."""
    halves, wide = {}, {}
    for name, case in CASES.items():
        if name in ("poisson_of_rate", "kl_divergence", "cross_entropy_of_distributions"):
            continue  # the registry's own softplus and softmax would run in half precision
        *raw, y = draw(case, dtype)
        wide_y = y if case.target is CLASS else y.astype(jnp.float32)
        halves[name] = [*raw, y if case.target is CLASS else y.astype(target_dtype)]
        wide[name] = [*(a.astype(jnp.float32) for a in raw), wide_y]
    expected = jax.jit(every)(wide)
    for name, value in jax.jit(every)(halves).items():
        assert value.dtype == jnp.float32, name
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    p, q = (jax.nn.softmax(a, axis=-1) for a in draw(CASES["kl_divergence"], dtype))
    for f in (divergence.kl_divergence, divergence.cross_entropy):
        f = jax.jit(f)
        np.testing.assert_array_equal(f(p, q), f(p.astype(jnp.float32), q.astype(jnp.float32)))
    assert nll.poisson_of_rate(jnp.ones(2, dtype), jnp.ones(2, dtype)).dtype == jnp.float32


def test_labels_may_be_integers_or_truth_values(x64):
    """Of any width, beside raw outputs of any width."""
    raw, of_class = jnp.array([0.3, -2.0]), jax.jit(classification.cross_entropy)
    for dtype in (bool, jnp.uint8, jnp.int32):
        y = jnp.array([0, 1], dtype)
        for name in ("binary_cross_entropy", "binary_focal", "binary_hinge", "poisson", "huber"):
            loss = jax.jit(CASES[name].loss)
            np.testing.assert_array_equal(loss(raw, y), loss(raw, y.astype(float)))
        logits = jnp.stack([raw, -raw], axis=-1)
        if dtype is not bool:
            np.testing.assert_array_equal(of_class(logits, y), of_class(logits, y.astype(int)))
