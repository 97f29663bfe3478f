# SPDX-License-Identifier: Apache-2.0
"""Flows over images: densities against the Jacobian, the way back, refusals, and lowering."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from jaxml.models import flow
from jaxml.nn import elementwise

RNG = np.random.default_rng(0)
SHAPE = (4, 4, 1)
FLOWS = {
    "glow": partial(flow.glow, SHAPE, 2, 2, width=4),
    "spline glow": partial(flow.glow, SHAPE, 2, 1, width=4, elementwise=elementwise.spline(4)),
    "glow without logit": partial(flow.glow, SHAPE, 1, 1, width=4, margin=None),
    "conditional glow": partial(flow.glow, SHAPE, 1, 2, width=4, n_context=3),
    "multiscale_real_nvp": partial(flow.multiscale_real_nvp, SHAPE, 2, width=4, n_blocks=1),
    "conditional real_nvp": partial(
        flow.multiscale_real_nvp, SHAPE, 1, width=4, n_blocks=1, n_context=3
    ),
    "noise": partial(flow.noise, SHAPE, 2, width=4, n_context=1),
}
QUICK = {"glow without logit", "noise"}
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FLOWS]


def build(name):
    """In float64, and away from where it begins; signs of factored matrices stay."""

    def moved(a):
        real = jnp.issubdtype(a.dtype, jnp.floating)
        if not real or (a.ndim and np.isin(a, (-1, 1)).all()):
            return a
        return a.astype(float) + (0.1 * RNG.normal(size=a.shape) if a.ndim else 0)

    return jax.tree.map(moved, FLOWS[name](rngs=nnx.Rngs(0)))


def context(name, n):
    shape = {"noise": (n, *SHAPE), "conditional": (n, 3)}.get(name.split()[0])
    return None if shape is None else jnp.asarray(RNG.normal(size=shape))


@pytest.mark.parametrize("name", NAMES)
def test_the_density_is_that_of_the_change_of_variables(name, x64):
    """log p(x) = log N(z) + log |det ∂z/∂x| by the whole Jacobian, and x comes back from z."""
    model, n = build(name), 2
    x, c = jnp.asarray(RNG.uniform(0.02, 0.98, (n, *SHAPE))), context(name, n)

    def encode(x, c):
        return flow.encode(model, x[None], context=None if c is None else c[None])[0].ravel()

    @jax.jit
    def both(x, c):
        jacobian = jax.vmap(jax.jacfwd(encode))(x, c).reshape(n, 16, 16)
        z = jax.vmap(encode)(x, c)
        found = flow.log_prob(model, x, context=c)
        back = flow.generate(model, flow.encode(model, x, context=c), context=c)
        return z, jnp.linalg.slogdet(jacobian)[1], found, back

    z, log_det, found, back = both(x, c)
    expected = scipy.stats.norm.logpdf(z).sum(1) + log_det
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(back, x, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_samples_carry_their_own_density(name, x64):
    """Of one pass down, and of the pass up over what it drew; all pixels lie in their interval."""
    model, n = build(name), 3
    c = context(name, n)

    @jax.jit
    def passes(c):
        x, log_p = flow.sample_and_log_prob(model, jax.random.key(0), n, context=c)
        return x, log_p, flow.log_prob(model, x, context=c)

    x, log_p, again = passes(c)
    assert x.shape == (n, *SHAPE)
    np.testing.assert_allclose(log_p, again, rtol=1e-7)
    if "without logit" not in name:
        margin = {"multiscale_real_nvp": 0.06}.get(name, 0.06 if "real_nvp" in name else 1e-5)
        assert -margin < float(x.min()) < float(x.max()) < 1 + margin


def test_a_started_glow_gives_normal_noise():
    """After the data-dependent start each channel of z has mean 0 and variance 1 over the batch."""
    model = flow.glow(SHAPE, 2, 1, width=4, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.beta(0.5, 0.5, (256, *SHAPE)), jnp.float32)
    started = jax.jit(flow.start)(model, x)
    z = np.asarray(flow.encode(started, x)).reshape(256, 2, 2, 4)
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(z.var((0, 1, 2)), 1, rtol=1e-3)
    log_prob = jax.jit(flow.log_prob)
    ready, began = log_prob(started, x), log_prob(model, x)
    assert ready.mean() > began.mean() + 10


def test_the_logit_of_the_unit_interval_has_its_margin(x64):
    """logit(α + (1 − 2α) x) at 0, ½ and 1."""
    layer = flow.from_unit_interval(0.05)
    x = jnp.array([0.0, 0.5, 1.0]).reshape(1, 3, 1, 1)
    y, log_det = layer.forward(x)
    np.testing.assert_allclose(y.ravel(), [np.log(0.05 / 0.95), 0, np.log(0.95 / 0.05)], atol=1e-12)
    np.testing.assert_allclose(
        log_det, 3 * np.log(0.9) - 2 * np.log(0.05 * 0.95) - np.log(0.25), rtol=1e-12
    )


def test_the_papers_size_lowers_for_accelerators():
    """Glow of 3 levels of 32 steps and 512 channels on 32 × 32 × 3: 44 million parameters."""
    model = jax.eval_shape(lambda: flow.glow((32, 32, 3), margin=None, rngs=nnx.Rngs(0)))
    n = sum(leaf.size for leaf in jax.tree.leaves(model))
    assert 40e6 < n < 50e6
    x = jax.ShapeDtypeStruct((64, 32, 32, 3), jnp.float32)
    traced = jax.jit(lambda model, x: flow.loss(model, x, jax.random.key(0))[0]).trace(model, x)
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.while") == 3  # one loop a level


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: flow.glow((6, 6, 1), 1, 2, rngs=nnx.Rngs(0)), "6 × 6 pixels do not halve"),
        (lambda: flow.glow((4, 4, 1), 0, 1, rngs=nnx.Rngs(0)), "n_steps: expected at least 1"),
        (lambda: flow.glow((4, 4, 1), 1, 0, rngs=nnx.Rngs(0)), "n_levels: expected at least 1"),
        (lambda: flow.multiscale_real_nvp((5, 4, 1), 2, rngs=nnx.Rngs(0)), "do not halve"),
        (lambda: flow.noise((4, 4, 1), width=0, n_context=1, rngs=nnx.Rngs(0)), "width"),
        (lambda: flow.from_unit_interval(0.5), "margin: expected a number in"),
    ],
)
def test_bad_sizes_are_refused_by_name(make, match):
    with pytest.raises(ValueError, match=match):
        make()
