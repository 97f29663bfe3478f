# SPDX-License-Identifier: Apache-2.0
"""Solvers: what is refused, what a failed solve gives, and how often the field was asked."""

import subprocess
import sys

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.bijections import ode

CALLS = []


def counted(t, x, a):
    """dx/dt = −a x, of which every call leaves a mark on the host."""
    shape = jax.ShapeDtypeStruct((), t.dtype)
    return -a * x + 0 * jax.pure_callback(lambda t: CALLS.append(t) or t, shape, t)


@pytest.mark.parametrize(
    "solver",
    [
        ode.adaptive(),
        ode.adaptive(1e-3, 1e-3, method=diffrax.Bosh3()),
        ode.fixed(7, method=diffrax.Dopri5()),
        ode.fixed(5, method=diffrax.Heun()),
        ode.fixed(4, method=diffrax.Euler()),
    ],
    ids=["Tsit5", "Bosh3", "Dopri5", "Heun", "Euler"],
)
def test_evaluations_are_counted(solver):
    """The number is that of the calls of the rate, refused steps included."""
    CALLS.clear()
    x, n = jax.block_until_ready(
        jax.jit(lambda x: solver.solve(counted, x, jnp.float32(30), 0.0, 1.0))(jnp.float32(1))
    )
    assert len(CALLS) == n
    if solver.n_steps is None:
        np.testing.assert_allclose(x, np.exp(-30), atol=1e-3)


def decay(t, x, a):
    del t
    return jax.tree.map(lambda x: -a * x, x)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_steps_of_one_size_are_those_of_the_method(kind, x64):
    """Back from T, n steps of Euler for x' = −ax multiply by (1 + aT/n)ⁿ, in any dtype."""
    for n, time in ((1, 0.3), (49, 2.7)):
        x, calls = ode.fixed(n, method=diffrax.Euler()).solve(
            decay, jnp.ones((), kind), jnp.asarray(0.5, kind), time, 0.0
        )
        assert (calls, x.dtype) == (n, kind)
        np.testing.assert_allclose(x, (1 + 0.5 * time / n) ** n, rtol=1e-5)


def test_a_solve_that_is_given_up_is_nan():
    """Too few steps for the tolerance: the value, and the gradient too."""
    few = ode.adaptive(1e-6, 1e-6, method=diffrax.Bosh3(), max_steps=2)
    value, slope = jax.jit(
        jax.value_and_grad(lambda x: few.solve(decay, x, jnp.float32(50), 0.0, 1.0)[0])
    )(jnp.float32(1))
    assert np.isnan([value, slope]).all()


def test_carried_parts_do_not_choose_the_steps():
    """A stiff part is followed when it counts and left alone when it is carried."""
    solver = ode.adaptive(1e-4, 1e-4)

    @jax.jit
    def evaluations(fast):
        state = {"slow": jnp.float32(1), "fast": fast}
        return solver.solve(sway, state, None, 0.0, 1.0)[1]

    carried, alone = (evaluations(ode.Carried(jnp.float32(a))) for a in (1.0, 0.0))
    assert carried == alone
    assert evaluations(jnp.float32(1)) > 2 * carried


def sway(t, state, args):
    del args
    fast = jax.tree.map(lambda x: x * jnp.cos(60 * t), state["fast"])
    return {"slow": -state["slow"], "fast": fast}


def beat(t, state, n):
    """0 for x, n cos(9t) for the log-determinant."""
    return jnp.zeros_like(state[0]), n * jnp.cos(9 * t)


def test_a_log_determinant_does_not_drown_in_many_dimensions(x64):
    """n ∫ cos 9t has the same relative error beside a vector of 1 and one of 10000."""
    solver = ode.adaptive(1e-4, 1e-9)
    errors = []
    for n in (1, 10_000):
        state = jnp.zeros(n), jnp.zeros(())
        (_, log_det), _ = solver.solve(beat, state, jnp.asarray(float(n)), 0.0, 1.0)
        errors.append(float(log_det) / n - np.sin(9) / 9)
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.5)


def test_nothing_in_the_program_calls_the_host():
    """Neither an adaptive solve nor one at fixed steps."""
    for solver in (ode.adaptive(), ode.fixed(3)):
        run = jax.jit(lambda x, solver=solver: solver.solve(decay, x, jnp.ones(()), 0.0, 1.0))
        assert "callback" not in run.lower(jnp.ones(())).as_text()


def test_equal_options_are_equal_solvers():
    """Those with an adjoint too, though diffrax's cannot be hashed."""
    make = (
        ode.adaptive,
        lambda: ode.adaptive(1e-3),
        lambda: ode.fixed(3),
        lambda: ode.adaptive(adjoint=diffrax.BacksolveAdjoint(solver=diffrax.Dopri5())),
    )
    assert len({solver() for solver in make + make}) == len(make)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ode.adaptive(0.0), "rtol: expected a positive tolerance, got 0.0"),
        (lambda: ode.adaptive(atol=float("nan")), "atol: expected a positive tolerance, got nan"),
        (lambda: ode.adaptive(max_steps=0), "max_steps: expected at least 1, got 0"),
        (lambda: ode.adaptive(method=diffrax.Euler()), "method: .* estimate of its error"),
        (lambda: ode.adaptive(method=diffrax.Kvaerno3()), "method: expected an explicit solver"),
        (lambda: ode.fixed(3, method=diffrax.ImplicitEuler()), "method: expected an explicit"),
        (lambda: ode.fixed(3, method="Tsit5"), "method: expected an explicit solver of diffrax"),
        (lambda: ode.fixed(0), "n_steps: expected at least 1, got 0"),
        (lambda: ode.fixed(3, adjoint=diffrax.BacksolveAdjoint), "adjoint: expected one of"),
    ],
)
def test_bad_options_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_without_diffrax_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    for build in (ode.adaptive, lambda: ode.fixed(3)):
        with pytest.raises(ImportError, match=r"need diffrax: pip install 'jaxml\[ode\]'"):
            build()


def test_flows_import_without_diffrax():
    """And work: only continuous layers need it."""
    code = (
        "import sys; sys.modules['diffrax'] = None\n"
        "from flax import nnx; from jaxml.models import flow; import jaxml.nn\n"
        "flow.nice(2, 1, widths=(2,), rngs=nnx.Rngs(0))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
