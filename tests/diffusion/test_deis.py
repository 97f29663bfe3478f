# SPDX-License-Identifier: Apache-2.0
"""DEIS against integrals of Lagrange's polynomials by numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from tests.diffusion.case import at, denoise

TIMES = np.array([0.93, 0.9, 0.81, 0.7, 0.66, 0.5, 0.41, 0.3, 0.26])


def by_lagrange(x, order, noise):
    """x/α over σ/α with ε the polynomial through the last values; a trapezoid begins the third."""
    rho = np.asarray(noise.sigma / noise.alpha)
    alpha = np.asarray(noise.alpha)

    def eps(y, i):
        return np.asarray(denoise(y * alpha[i], d.Points(jnp.asarray(0.0), at(noise, i))).eps)

    y, values = x / alpha[0], []
    for i in range(len(rho) - 1):
        values.append(eps(y, i))
        last = range(max(0, i - order + 1), i + 1)
        if order == 3 and i == 0:
            ahead = eps(y + (rho[1] - rho[0]) * values[0], 1)
            y = y + (rho[1] - rho[0]) * 0.5 * (values[0] + ahead)
            continue
        for j in last:
            basis = np.poly1d([1.0])
            for k in last:
                if k != j:
                    basis *= np.poly1d([1.0, -rho[k]]) / (rho[j] - rho[k])
            whole = np.polyint(basis)
            y = y + (whole(rho[i + 1]) - whole(rho[i])) * values[j]
    return y * alpha[-1]


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("schedule", [d.cosine(), d.edm(), d.rectified()])
def test_steps_are_integrals_of_polynomials(order, schedule, x64):
    """On steps of any length, to 10 digits."""
    grid = d.points(schedule, jnp.asarray(TIMES), clean=False)
    x = np.array([-1.2, 0.4, 2.0]) * float(grid.noise.sigma[0])
    found = d.integrate(d.deis(order), denoise, grid, jnp.asarray(x), jax.random.key(0))
    np.testing.assert_allclose(found, by_lagrange(x, order, grid.noise), rtol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_noise_that_is_a_polynomial_is_integrated_exactly(order, x64):
    """Once there is a past: ε of degree order − 1 in σ/α, and x/α is its integral."""
    grid = d.points(d.edm(), jnp.asarray(TIMES), clean=False)
    epsilon = np.polyint(np.poly1d([0.3, -0.2, 0.5][3 - order :]))

    def polynomial(x, point):
        rho = point.noise.sigma
        eps = jnp.full_like(x, jnp.polyval(jnp.asarray(np.polyder(epsilon).coeffs), rho))
        return d.Clean(x - rho * eps, eps)

    solver, x, key = d.deis(order), jnp.zeros(2), jax.random.key(0)
    step, memory = jax.jit(lambda *a: solver.step(polynomial, *a)), solver.start(x)
    for i in range(len(TIMES) - 1):
        before = x
        x, memory = step(x, at(grid, i), at(grid, i + 1), key, memory)
        if i >= order - 1:
            rho = np.asarray(grid.noise.sigma)
            expected = epsilon(rho[i + 1]) - epsilon(rho[i])
            np.testing.assert_allclose(x - before, expected, rtol=1e-10)


@pytest.mark.parametrize(("order", "n_calls"), [(1, 8), (2, 8), (3, 9)])
def test_a_step_is_one_evaluation_but_for_the_first_of_third_order(order, n_calls):
    grid, calls = d.points(d.cosine(), jnp.asarray(TIMES, "f4"), clean=False), []

    def counted(x, point):
        jax.debug.callback(lambda: calls.append(None))
        return denoise(x, point)

    jax.block_until_ready(d.integrate(d.deis(order), counted, grid, jnp.ones(3), jax.random.key(0)))
    jax.effects_barrier()
    assert len(calls) == n_calls


def test_another_order_is_refused():
    with pytest.raises(ValueError, match="order"):
        d.deis(0)
