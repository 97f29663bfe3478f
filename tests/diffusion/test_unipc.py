# SPDX-License-Identifier: Apache-2.0
"""UniPC against its paper's algorithm, written out with matrices in numpy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from tests.diffusion.case import at, denoise

TIMES = np.array([0.93, 0.9, 0.81, 0.7, 0.66, 0.5, 0.41, 0.3, 0.26])


def phi(k, h):
    """φ_0 = e^h, φ_(k+1) = (φ_k − 1/k!)/h."""
    value = math.exp(h)
    for i in range(k):
        value = (value - 1 / math.factorial(i)) / h
    return value


def coefficients(r, h):
    """a with R a = φ/B, the paper's system for x̂_0 with B = e^(−h) − 1; ½ where there is one."""
    if len(r) == 1:
        return np.array([0.5])
    matrix = np.stack([(np.asarray(r) * -h) ** m for m in range(len(r))])
    right = [-h * math.factorial(m + 1) * phi(m + 2, -h) * (-h) ** m for m in range(len(r))]
    return np.linalg.solve(matrix, np.array(right) / math.expm1(-h))


def by_the_paper(x, p, noise):
    """UniPC-p: x̂_0 and half log-SNR, predictor through p values and corrector through p + 1."""
    alpha, sigma, ell = (np.asarray(a) for a in (noise.alpha, noise.sigma, 0.5 * noise.log_snr))

    def clean(x, i):
        return np.asarray(denoise(x, d.Points(jnp.asarray(0.0), at(noise, i))).x0)

    values = [clean(x, 0)]
    for i in range(1, len(alpha)):
        h, order = ell[i] - ell[i - 1], min(p, i)
        start = sigma[i] / sigma[i - 1] * x - alpha[i] * math.expm1(-h) * values[-1]
        r = [(ell[i - 1 - m] - ell[i - 1]) / h for m in range(1, order)]
        change = [(values[-1 - m] - values[-1]) / r[m - 1] for m in range(1, order)]
        x = start
        if r:
            a = coefficients(r, h)
            x = start - alpha[i] * math.expm1(-h) * sum(map(np.multiply, a, change))
        if i == len(alpha) - 1:
            return x
        new = clean(x, i)
        a = coefficients([*r, 1.0], h)
        change.append(new - values[-1])
        x = start - alpha[i] * math.expm1(-h) * sum(map(np.multiply, a, change))
        values.append(new)
    raise AssertionError


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("schedule", [d.cosine(), d.edm(), d.rectified()])
def test_steps_are_those_of_the_paper(order, schedule, x64):
    """`unipc(p + 1)` is UniPC-p with B_2, on steps of any length, to 11 digits."""
    grid = d.points(schedule, jnp.asarray(TIMES), clean=False)
    x = np.array([-1.2, 0.4, 2.0]) * float(grid.noise.sigma[0])
    found = d.integrate(d.unipc(order), denoise, grid, jnp.asarray(x), jax.random.key(0))
    np.testing.assert_allclose(found, by_the_paper(x, order - 1, grid.noise), rtol=1e-11)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_step_is_one_evaluation(order):
    """Nine points are eight steps and eight calls of the network."""
    grid, calls = d.points(d.cosine(), jnp.asarray(TIMES, "f4"), clean=False), []

    def counted(x, point):
        calls.append(None)
        return denoise(x, point)

    solver = d.unipc(order)

    def steps(x, key):
        memory = solver.start(x)
        for i in range(len(TIMES) - 1):
            x, memory = solver.step(counted, x, at(grid, i), at(grid, i + 1), key, memory)
        return x

    jax.eval_shape(steps, jnp.ones(3), jax.random.key(0))
    assert len(calls) == len(TIMES) - 1


def test_after_a_beginning_without_signal_the_correction_is_a_trapezoid(x64):
    """With α_t = 0, x/σ grows by x̂_0 d(α/σ): x_s/σ_s = x_t/σ_t + ½ (α_s/σ_s) (x̂_0(t) + x̂_0(s))."""
    grid = d.points(d.rectified(), jnp.asarray([1.0, 0.9, 0.8]), clean=False)
    x = jnp.asarray([-1.0, 0.3])
    first, second = (at(grid, i) for i in (0, 1))
    begun = denoise(x, first).x0
    euler = second.noise.sigma * x + second.noise.alpha * begun
    reached = denoise(euler, second).x0
    trapezoid = second.noise.sigma * x + second.noise.alpha * 0.5 * (begun + reached)
    # The next step is linear in the corrected x, and the predicted x has given its x̂_0.
    h = 0.5 * (grid.noise.log_snr[2] - grid.noise.log_snr[1])
    expected = grid.noise.sigma[2] / grid.noise.sigma[1] * trapezoid
    expected = expected - grid.noise.alpha[2] * jnp.expm1(-h) * reached
    for order in (2, 3):
        found = d.integrate(d.unipc(order), denoise, grid, x, jax.random.key(0))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_another_order_is_refused():
    with pytest.raises(ValueError, match="order"):
        d.unipc(4)
