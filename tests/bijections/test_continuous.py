# SPDX-License-Identifier: Apache-2.0
"""Transport along vector fields against matrix exponentials, quadrature and itself."""

from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

from jaxml.bijections import ode, transport
from jaxml.probability.monte_carlo import estimate

RNG = np.random.default_rng(0)
A, X = 0.6 * RNG.normal(size=(3, 3)), RNG.normal(size=(4, 3))
TIME = 1.3
TIGHT = ode.adaptive(1e-10, 1e-10)


def linear(t, x, a, context):
    """x' = Ax."""
    del t, context
    return a @ x


def growing(t, x, a, context):
    """x' = 2tAx, whose flow to T is that of A to T²."""
    return 2 * t * linear(t, x, a, context)


def curved(t, x, params, context):
    """x' = W₂ tanh(W₁ x + t b + c) of both signs of curvature."""
    return params["out"] @ jnp.tanh(params["in"] @ x + t * params["bias"] + context)


def curved_case():
    """x, parameters and contexts, the same in every test."""
    rng = np.random.default_rng(1)
    shapes = {"in": (5, 3), "out": (3, 5), "bias": (5,)}
    params = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    return jnp.asarray(X), params, jnp.asarray(rng.normal(size=(4, 5)))


@pytest.mark.parametrize(
    ("field", "scale", "joint"),
    [
        (growing, TIME**2, False),
        pytest.param(linear, TIME, True, marks=pytest.mark.slow),
        pytest.param(growing, TIME**2, True, marks=pytest.mark.slow),
        pytest.param(linear, TIME, False, marks=pytest.mark.slow),
    ],
)
def test_a_linear_field_makes_the_matrix_exponential(field, scale, joint, x64):
    """y = e^{sA} x and log-det s·tr A to 1e-8 both ways; energies by quadrature."""
    run = jax.jit(partial(transport, field, start=0.0, end=TIME, solver=TIGHT, joint=joint))
    back = jax.jit(partial(transport, field, start=TIME, end=0.0, solver=TIGHT, joint=joint))
    there = run(jnp.asarray(X), jnp.asarray(A))
    y = X @ scipy.linalg.expm(scale * A).T
    np.testing.assert_allclose(there.end, y, atol=1e-8)
    np.testing.assert_allclose(there.log_det, np.full(4, scale * np.trace(A)), atol=1e-8)
    home = back(jnp.asarray(y), jnp.asarray(A))
    np.testing.assert_allclose(home.end, X, atol=1e-8)
    np.testing.assert_allclose(home.log_det, np.full(4, -scale * np.trace(A)), atol=1e-8)

    def rates(t):
        gain, done = (1, t) if field is linear else (2 * t, t**2)
        velocity = gain * X @ (A @ scipy.linalg.expm(done * A)).T
        return np.append((velocity**2).sum(1), gain**2 * (A**2).sum())

    *kinetic, jacobian = scipy.integrate.quad_vec(rates, 0, TIME, epsabs=1e-12)[0]
    for path in (there, home):
        np.testing.assert_allclose(path.kinetic, kinetic, rtol=1e-8)
        np.testing.assert_allclose(path.jacobian, np.full(4, jacobian), rtol=1e-8)
        assert (path.n_evaluations > 6).all()


@pytest.mark.parametrize(
    ("adjoint", "joint"),
    [
        (diffrax.RecursiveCheckpointAdjoint(), True),
        (diffrax.BacksolveAdjoint(), True),
        pytest.param(diffrax.RecursiveCheckpointAdjoint(), False, marks=pytest.mark.slow),
        pytest.param(diffrax.BacksolveAdjoint(), False, marks=pytest.mark.slow),
    ],
)
def test_the_gradient_of_a_linear_flow_is_that_of_the_exponential(adjoint, joint, x64):
    """In A and x, of the image and the log-determinant, to 1e-7: direct and by the adjoint."""
    solver = ode.adaptive(1e-10, 1e-10, adjoint=adjoint)

    def of_solver(a, x):
        path = transport(linear, x, a, end=TIME, solver=solver, joint=joint)
        return jnp.sum(jnp.sin(path.end)) + jnp.sum(path.log_det)

    def of_exponential(a, x):
        y = x @ jax.scipy.linalg.expm(TIME * a).T
        return jnp.sum(jnp.sin(y)) + len(x) * TIME * jnp.trace(a)

    found, expected = (
        jax.jit(jax.grad(f, (0, 1)))(jnp.asarray(A), jnp.asarray(X))
        for f in (of_solver, of_exponential)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def total(solver, x, params, context, noise=None, joint=False):
    """A number in which everything that a path gives has a part."""
    path = transport(curved, x, params, context, noise, end=TIME, solver=solver, joint=joint)
    weight = jnp.arange(1.0, 5.0)
    each = path.log_det + 0.3 * path.kinetic + 0.1 * path.jacobian + jnp.sin(path.end).sum(1)
    return jnp.sum(weight * each)


@pytest.mark.slow
@pytest.mark.parametrize(("joint", "noisy"), [(False, False), (True, True), (True, False)])
def test_the_continuous_adjoint_is_the_direct_gradient(joint, noisy, x64):
    """In x, the context and all parameters to 1e-6, with exact and estimated traces."""
    case = curved_case()
    noise = jnp.sign(jnp.asarray(RNG.normal(size=X.shape))) if noisy else None
    backwards = ode.adaptive(1e-10, 1e-10, adjoint=diffrax.BacksolveAdjoint())
    gradients = [
        jax.jit(jax.grad(partial(total, solver, joint=joint, noise=noise), (0, 1, 2)))(*case)
        for solver in (TIGHT, backwards)
    ]
    for one, other in zip(*map(jax.tree.leaves, gradients), strict=True):
        assert np.abs(one).max() > 0.1
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=1e-6)


@pytest.mark.slow
def test_one_equation_at_fixed_steps_is_that_of_its_events(x64):
    """With noise: end, log-determinant and energies to the last digits."""
    x, params, context = curved_case()
    noise = jnp.sign(jnp.asarray(RNG.normal(size=X.shape)))
    together, alone = (
        jax.jit(partial(transport, curved, solver=ode.fixed(4), joint=joint))(
            x, params, context, noise
        )
        for joint in (True, False)
    )
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)


@pytest.mark.slow
def test_the_estimated_log_determinant_is_unbiased(x64):
    """Over 4000 paths from one x the mean is the exact one, the image always."""
    x, params, context = curved_case()
    solver = ode.fixed(8)
    run = jax.jit(partial(transport, curved, solver=solver))
    exact = run(x[:1], params, context[:1])
    many = partial(jnp.broadcast_to, shape=(4000, 3))
    noise = jax.random.rademacher(jax.random.key(0), (4000, 3), jnp.float64)
    found = run(many(x[0]), params, jnp.broadcast_to(context[0], (4000, 5)), noise)
    np.testing.assert_allclose(found.end, many(exact.end[0]), rtol=1e-12)
    for name in ("log_det", "jacobian"):
        mean, error = estimate(getattr(found, name))
        truth = getattr(exact, name)[0]
        assert abs(mean - truth) < 4.5 * error
        assert 0 < error < 0.1 * abs(truth)


@pytest.mark.parametrize(
    ("solver", "joint"),
    [
        (ode.adaptive(1e-2, 1e-2), False),
        (ode.adaptive(1e-2, 1e-2), True),
        pytest.param(ode.fixed(3), True, marks=pytest.mark.slow),
    ],
)
def test_an_event_does_not_feel_its_company(solver, joint, x64):
    """Bit for bit the same beside other events: tame, stiff or NaN, whatever the tolerance.

    As one equation at adaptive steps the batch takes common ones, and then it does.
    """
    x, params, context = curved_case()
    run = jax.jit(partial(transport, curved, solver=solver, joint=joint))
    first, *others = (
        run(x.at[2:].set(company), params, context) for company in (0.1, 30.0, jnp.nan)
    )
    for other in others:
        same = [np.array_equal(one[:2], two[:2]) for one, two in zip(first, other, strict=True)]
        assert all(same) == (solver.n_steps is not None or not joint)
    lost = others[-1]
    assert np.isnan(lost.end[2:]).all()
    assert np.isnan(lost.log_det[2:]).all()


@pytest.mark.slow
def test_works_in_float32_under_every_transformation():
    """jit, vmap over parameters, grad, scan and checkpoint agree with the loop."""
    a = jnp.asarray(np.stack([A, -A]), jnp.float32)
    x = jnp.asarray(X, jnp.float32)

    def value(a):
        path = transport(linear, x, a, solver=ode.adaptive())
        return path.log_det.sum() + path.end.sum()

    @jax.jit
    def everything(a):
        return (
            jax.vmap(jax.value_and_grad(value))(a),
            jax.lax.map(jax.value_and_grad(jax.checkpoint(value)), a),
        )

    by_vmap, by_scan = everything(a)
    for one, other in zip(*map(jax.tree.leaves, (by_vmap, by_scan)), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=2e-4)
    truth = [4 * np.trace(m) + (X @ scipy.linalg.expm(m).T).sum() for m in (A, -A)]
    np.testing.assert_allclose(by_vmap[0], truth, rtol=1e-4)


@pytest.mark.slow
def test_forward_mode_takes_another_adjoint(x64):
    """With ForwardMode the directional derivative is that of the exponential."""
    solver = ode.adaptive(1e-9, 1e-9, adjoint=diffrax.ForwardMode())
    f = lambda s: transport(linear, jnp.asarray(X), s * jnp.asarray(A), solver=solver).end  # noqa: E731
    found = jax.jit(lambda s: jax.jvp(f, (s,), (jnp.ones(()),)))(jnp.ones(()))[1]
    np.testing.assert_allclose(found, X @ (A @ scipy.linalg.expm(A)).T, atol=1e-7)


def test_a_field_keeps_the_shape():
    with pytest.raises(ValueError, match=r"field: expected the shape of x, \(3,\), got \(2,\)"):
        transport(linear, jnp.ones((1, 3)), jnp.ones((2, 3)), solver=ode.fixed(1))
