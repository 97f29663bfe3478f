# SPDX-License-Identifier: Apache-2.0
"""Flows in continuous time against normal laws, and their losses against quadrature."""

from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.stats
from flax import nnx

from jaxml.bijections import ode
from jaxml.data import in_memory
from jaxml.models import flow
from jaxml.nn import Chain, Continuous, Inverted, Stack, VectorField
from jaxml.probability.monte_carlo import estimate
from jaxml.training import descend, fit

EULER = ode.fixed(3, method=diffrax.Euler())  # compiles fastest
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))


class Linear(nnx.Module):
    """x′ = Ax."""

    def __init__(self, matrix):
        self.matrix = nnx.Param(jnp.asarray(matrix))

    def __call__(self, t, x, context=None):
        del t, context
        return self.matrix[...] @ x


def disturbed(model, size=0.3):
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: a.astype(float) + size * rng.normal(size=a.shape), model)


def test_the_loss_is_that_of_the_normal_law_and_its_energies(x64):
    """x′ = a ⊙ x ends in N(0, e^{−2a}): −log p, ∫‖f‖² by quadrature and Σa², to 1e-8."""
    rates = np.asarray([0.7, -0.4, 0.2])
    model = flow.Flow(
        Continuous(Linear(np.diag(rates)), solver=ode.adaptive(1e-10, 1e-10)), flow.Normal(3)
    )
    log_p = scipy.stats.norm.logpdf(X, scale=np.exp(-rates)).sum(1).mean()
    kinetic = scipy.integrate.quad(
        lambda t: ((rates * X * np.exp(t * rates)) ** 2).sum(1).mean(), 0, 1
    )[0]
    truth = -log_p + 0.3 * kinetic + 0.05 * (rates**2).sum()
    loss = jax.jit(flow.ffjord_loss(kinetic=0.3, jacobian=0.05))
    value, metrics = loss(model, jnp.asarray(X), jax.random.key(0))
    np.testing.assert_allclose(value, truth, atol=1e-8)
    np.testing.assert_allclose(metrics["log_prob"], log_p, atol=1e-8)
    np.testing.assert_allclose(metrics["kinetic"], kinetic, atol=1e-8)
    np.testing.assert_allclose(metrics["jacobian"], (rates**2).sum(), atol=1e-8)
    assert metrics["n_evaluations"] > 6


def composed():
    """Continuous layers alone, in a stack, backwards, and beside a layer of another kind."""

    def layer(rngs):
        return Continuous(VectorField(2, (4,), rngs=rngs), solver=EULER)

    rngs = nnx.Rngs(0)
    layers = Chain([layer(rngs), Inverted(Chain([flow.scale(2), Stack(layer, 2, rngs=rngs)]))])
    return disturbed(flow.Flow(layers, flow.Normal(2)), 1.0)


def test_the_loss_passes_through_layers_of_every_kind(x64):
    """With exact traces its log p is `flow.log_prob`; every solve adds energy and evaluations."""
    model, x = composed(), jnp.asarray(X[:, :2])
    value, metrics = jax.jit(flow.ffjord_loss(noise=None))(model, x, jax.random.key(0))
    expected = jax.jit(flow.log_prob)(model, x).mean()
    np.testing.assert_allclose(metrics["log_prob"], expected, rtol=1e-12)
    np.testing.assert_allclose(value, -expected, rtol=1e-12)
    assert metrics["n_evaluations"] == 3 * 3
    assert metrics["kinetic"] > 0.1
    assert metrics["jacobian"] > 0.1


@pytest.mark.slow
def test_the_estimated_loss_is_unbiased(x64):
    """Over 3000 keys the mean of log p̂ is log p; every example has noise of its own."""
    model = disturbed(flow.ffjord(2, widths=(4,), solver=EULER, rngs=nnx.Rngs(0)), 1.0)
    x = jnp.asarray(X[:2, :2])
    loss = flow.ffjord_loss(noise=jax.random.normal)
    keys = jax.random.split(jax.random.key(0), 3000)
    _, metrics = jax.jit(jax.vmap(partial(loss, model, x)))(keys)
    mean, error = estimate(metrics["log_prob"])
    truth = jax.jit(flow.log_prob)(model, x).mean()
    assert abs(mean - truth) < 4.5 * error
    assert 0 < error < 0.1
    np.testing.assert_allclose(metrics["kinetic"], metrics["kinetic"][0], rtol=1e-12)


@pytest.mark.parametrize(
    ("layers", "n"),
    [
        (lambda layer: layer(nnx.Rngs(0)), 2),
        (lambda layer: Chain([layer(nnx.Rngs(0)), layer(nnx.Rngs(0))]), 1),
        (lambda layer: Stack(layer, 2, rngs=nnx.Rngs(0)), 1),
    ],
    ids=["examples", "chain", "stack"],
)
def test_examples_and_layers_have_noise_of_their_own(layers, n):
    """‖εᵀA‖² is 52 or 8: over two draws the sum is also 60, where they differ."""
    one, matrix = ode.fixed(1, method=diffrax.Euler()), jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    model = flow.Flow(layers(lambda rngs: Continuous(Linear(matrix), solver=one)), flow.Normal(2))
    loss = jax.vmap(partial(flow.ffjord_loss(), model, jnp.ones((n, 2))))
    _, metrics = jax.jit(loss)(jax.random.split(jax.random.key(0), 30))
    total = np.round(n * np.asarray(metrics["jacobian"])).astype(int)
    assert set(total.tolist()) == {16, 60, 104}


def test_the_density_of_a_batch_is_that_of_its_rows(x64):
    """p(x | c) at adaptive steps row by row, and `flow.loss` of a row as it stands."""
    model = flow.ffjord(
        2, widths=(8,), n_context=1, solver=ode.adaptive(1e-8, 1e-8), rngs=nnx.Rngs(0)
    )
    model = disturbed(model, 0.7)
    x, c = jnp.asarray(RNG.normal(size=(4, 2))), jnp.asarray(RNG.normal(size=(4, 1)))
    log_prob = jax.jit(lambda x, c: flow.log_prob(model, x, context=c))
    together = log_prob(x, c)
    loss = jax.jit(flow.loss)
    rows = [{"x": x[i : i + 1], "y": c[i : i + 1]} for i in range(4)]
    alone = [-loss(model, row, jax.random.key(0))[0] for row in rows]
    np.testing.assert_allclose(together, alone, rtol=1e-11)
    assert np.abs(together - log_prob(x, c + 1)).min() > 1e-3


def test_a_flow_begins_as_its_base_and_learns_in_single_precision():
    """A field of 0 is the identity; gradients of the estimated loss are finite and not all 0."""
    model = flow.ffjord(3, widths=(8,), solver=EULER, rngs=nnx.Rngs(0))
    x = jnp.asarray(X, jnp.float32)
    loss = flow.ffjord_loss(kinetic=0.01, jacobian=0.01)
    (value, metrics), slope = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        model, x, jax.random.key(0)
    )
    np.testing.assert_allclose(value, -scipy.stats.norm.logpdf(x).sum(1).mean(), rtol=1e-5)
    assert metrics["kinetic"] == metrics["jacobian"] == 0
    leaves = jax.tree.leaves(slope)
    assert all(np.isfinite(leaf).all() and leaf.dtype == jnp.float32 for leaf in leaves)
    assert max(np.abs(leaf).max() for leaf in leaves) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss", [flow.loss, flow.ffjord_loss(kinetic=1e-4, jacobian=1e-4)], ids=["exact", "estimated"]
)
def test_training_reaches_the_entropy_of_a_normal_law(loss):
    """Data N(m, S): the mean −log p comes within 0.02 nats of that of the law itself."""
    law = scipy.stats.multivariate_normal([1.0, -0.5], [[2.0, 0.9], [0.9, 0.5]])
    train, test = (law.rvs(4000, random_state=i).astype(np.float32) for i in range(2))
    key = jax.random.key(0)
    model = flow.ffjord(2, widths=(16,), solver=ode.fixed(6), rngs=nnx.Rngs(0))
    rule = descend(loss, optax.adam(optax.cosine_decay_schedule(1e-2, 800)))
    batches = in_memory(train, 200, jax.random.fold_in(key, 1))
    *_, (_, model, _, metrics) = fit(rule, model, batches, key, steps=800, chunk=400)
    reached = jax.jit(flow.log_prob)(model, jnp.asarray(test)).mean()
    assert abs(law.logpdf(test).mean() - reached) < 0.02
    assert np.isfinite(metrics["loss"]).all()


def test_bad_arguments_are_refused_by_name():
    for name in ("kinetic", "jacobian"):
        with pytest.raises(ValueError, match=f"{name}: expected a weight of at least 0, got -1"):
            flow.ffjord_loss(**{name: -1.0})
    model = flow.nice(2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="model: expected a flow with a Continuous layer"):
        flow.ffjord_loss()(model, jnp.ones((2, 2)), jax.random.key(0))
    with pytest.raises(ValueError, match="n: expected at least 1"):
        flow.ffjord(2, 0, rngs=nnx.Rngs(0))
