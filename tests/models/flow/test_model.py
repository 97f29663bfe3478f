# SPDX-License-Identifier: Apache-2.0
"""Flows against densities known in closed form."""

from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from jaxml.bijections import (
    Affine,
    Bijection,
    affine_inverse,
    independent,
    linear,
    linear_inverse,
    ode,
)
from jaxml.bijections import affine as affine_map
from jaxml.models import flow
from jaxml.nn import Chain, Learned, elementwise

RNG = np.random.default_rng(0)


def disturbed(model, size=0.06):
    leaves, treedef = jax.tree.flatten(model)
    floats = [
        a + size * jnp.asarray(RNG.normal(size=a.shape), a.dtype)
        if jnp.issubdtype(a.dtype, jnp.floating) and not np.isin(a, (-1, 1)).all()
        else a
        for a in leaves
    ]
    return jax.tree.unflatten(treedef, floats)


def wide(model):
    return jax.tree.map(
        lambda a: a.astype(float) if jnp.issubdtype(a.dtype, jnp.floating) else a, model
    )


FLOWS = {
    "nice": partial(flow.nice, 2, 2, widths=(16,)),
    "real_nvp": partial(flow.real_nvp, 2, 3, widths=(16,)),
    "neural_spline": partial(flow.neural_spline, 2, 2, widths=(16,)),
    "maf": partial(flow.maf, 2, 3, widths=(16,)),
    "iaf": partial(flow.iaf, 2, 2, widths=(16,)),
    "sigmoids": partial(flow.autoregressive, 2, 2, elementwise.sigmoids(4), widths=(16,)),
    "planar": partial(flow.planar, 2, 4),
    "residual": partial(flow.residual, 2, 2, widths=(16,)),
    "ffjord": partial(
        flow.ffjord,
        2,
        widths=(16,),
        time=4.0,
        solver=ode.adaptive(1e-9, 1e-9, method=diffrax.Dopri8()),
    ),
    "mixture": lambda rngs: flow.real_nvp(
        2, 1, widths=(8,), base=flow.Mixture(2, 3, rngs=rngs), rngs=rngs
    ),
    "student_t": lambda rngs: flow.real_nvp(
        2, 1, widths=(8,), base=flow.StudentT(2, freedom=30.0), rngs=rngs
    ),
}


QUICK = {"real_nvp", "neural_spline", "maf", "planar"}
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FLOWS]


def build(name):
    return disturbed(FLOWS[name](rngs=nnx.Rngs(0)))


def reach(model):
    """Half the side of a square that holds all but a negligible part of the mass."""
    x = jax.jit(partial(flow.sample, n=4000))(model, jax.random.key(7))
    return 1.5 * float(jnp.abs(x).max())


def grid(side, n=400):
    ticks = (np.arange(n) + 0.5) / n * 2 * side - side
    return jnp.asarray(np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)), (2 * side / n) ** 2


@pytest.mark.parametrize("name", NAMES)
def test_the_density_integrates_to_one(name, x64):
    """∫ p = 1 within 1e-3 on a grid of 400 × 400."""
    model = wide(build(name))
    points, cell = grid(reach(model))
    log_p = jax.jit(flow.log_prob)(model, points)
    np.testing.assert_allclose(float(jnp.exp(log_p).sum() * cell), 1, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_samples_carry_their_own_density(name, x64):
    """log p of the sampling pass is that of the density's pass."""
    model = wide(build(name))

    @jax.jit
    def passes(model):
        x, log_p = flow.sample_and_log_prob(model, jax.random.key(0), 50)
        back = flow.generate(model, flow.encode(model, x))
        return x, log_p, flow.log_prob(model, x), back

    x, log_p, again, back = passes(model)
    np.testing.assert_allclose(log_p, again, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(back, x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "name",
    ["maf", *(pytest.param(n, marks=pytest.mark.slow) for n in ("neural_spline", "mixture"))],
)
def test_samples_follow_the_density(name, x64):
    """Each coordinate's distribution function, by a sum over the grid: Kolmogorov-Smirnov."""
    model = wide(build(name))
    x = np.asarray(jax.jit(partial(flow.sample, n=4000))(model, jax.random.key(1)))
    side = reach(model)
    points, cell = grid(side)
    p = np.asarray(jnp.exp(jax.jit(flow.log_prob)(model, points)) * cell).reshape(400, 400)
    edges = np.linspace(-side, side, 401)
    for axis in range(2):
        cdf = np.concatenate([[0], np.cumsum(p.sum(axis))])
        u = np.interp(x[:, axis], edges, cdf / cdf[-1])
        assert scipy.stats.kstest(u, "uniform").pvalue > 1e-4


def test_an_affine_flow_is_the_multivariate_normal(x64):
    """z = W(x e^s + t): log-prob of N(−t e^−s, (W E)⁻¹ (W E)⁻ᵀ) to 1e-10."""
    w, shift, log_scale = RNG.normal(size=(3, 3)), RNG.normal(size=3), RNG.normal(size=3)
    layers = Chain(
        [
            Learned(
                independent(Bijection(affine_map, affine_inverse), 1),
                Affine(jnp.asarray(shift), jnp.asarray(log_scale)),
            ),
            Learned(Bijection(linear, linear_inverse, 1), jnp.asarray(w)),
        ]
    )
    model = flow.Flow(layers, flow.Normal(3))
    matrix = np.linalg.inv(w @ np.diag(np.exp(log_scale)))
    law = scipy.stats.multivariate_normal(-shift * np.exp(-log_scale), matrix @ matrix.T)
    x = RNG.normal(size=(20, 3))
    np.testing.assert_allclose(flow.log_prob(model, jnp.asarray(x)), law.logpdf(x), atol=1e-10)


def test_a_context_is_a_row_an_example(x64):
    """p(x | c) of a batch is that of its rows."""
    model = wide(disturbed(flow.real_nvp(3, 2, widths=(8,), n_context=2, rngs=nnx.Rngs(0))))
    x, c = jnp.asarray(RNG.normal(size=(4, 3))), jnp.asarray(RNG.normal(size=(4, 2)))
    log_prob = jax.jit(lambda x, c: flow.log_prob(model, x, context=c))
    together = log_prob(x, c)
    one = [log_prob(x[i : i + 1], c[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(together, one, rtol=1e-12)
    assert np.abs(together - log_prob(x, c + 1)).min() > 1e-3
    value, metrics = flow.loss(model, {"x": x, "y": c}, jax.random.key(0))
    np.testing.assert_allclose(value, -together.mean(), rtol=1e-12)
    np.testing.assert_allclose(metrics["log_prob"], together.mean(), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["real_nvp", "neural_spline", "maf", "iaf", "planar"])
def test_derivatives_of_the_density_match_differences_to_second_order(name, x64):
    """In x and in all parameters along one direction: forward, reverse, forward over reverse."""
    model = wide(build(name))
    x = jnp.asarray(RNG.normal(size=(4, 2)))
    leaves, structure = jax.tree.flatten((model, x))
    real = [i for i, a in enumerate(leaves) if jnp.issubdtype(a.dtype, jnp.floating)]
    point = [leaves[i] for i in real]
    # Signs of factored matrices are not learned, and the log-determinant does not see them.
    signs = [bool(np.isin(a, (-1, 1)).all()) for a in point]
    direction = [
        jnp.zeros_like(a) if sign else jnp.asarray(RNG.normal(size=a.shape))
        for a, sign in zip(point, signs, strict=True)
    ]

    def value(moving):
        changed = list(leaves)
        for i, leaf in zip(real, moving, strict=True):
            changed[i] = leaf
        model, x = jax.tree.unflatten(structure, changed)
        return flow.log_prob(model, x).sum()

    @jax.jit
    def along(step):
        moved = [a + step * v for a, v in zip(point, direction, strict=True)]
        both = jax.value_and_grad(value)
        (v, g), (dv, dg) = jax.jvp(both, (moved,), (direction,))
        return v, sum(jnp.vdot(a, b) for a, b in zip(g, direction, strict=True)), dv, dg, g

    step = 1e-6
    low, middle, high = (along(s) for s in (-step, 0.0, step))
    first = (high[0] - low[0]) / (2 * step)
    np.testing.assert_allclose(middle[1], first, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(middle[2], first, rtol=1e-6, atol=1e-6)
    for found, a, b in zip(middle[3], high[4], low[4], strict=True):
        expected = (a - b) / (2 * step)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_the_reverse_loss_of_the_flow_itself_is_zero(x64):
    """KL(p ‖ p) = 0, draw by draw; of π = c p it is −log c."""
    model = wide(build("iaf"))
    loss = flow.reverse_loss(lambda x: flow.log_prob(model, x) + 2.0, 16)
    value, _ = loss(model, jnp.zeros(()), jax.random.key(0))
    np.testing.assert_allclose(value, -2, atol=1e-9)


def test_a_flow_begins_as_its_base():
    """Couplings and autoregressive layers start as the identity, rotations keep lengths."""
    x = jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32)
    expected = scipy.stats.norm.logpdf(x).sum(1)
    kinds = (flow.nice, flow.real_nvp, flow.neural_spline, flow.maf, flow.iaf)
    models = [make(4, 2, rngs=nnx.Rngs(0)) for make in kinds]
    for found in jax.jit(lambda models: [flow.log_prob(m, x) for m in models])(models):
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_one_dimension_cannot_be_coupled():
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        flow.real_nvp(1, rngs=nnx.Rngs(0))
