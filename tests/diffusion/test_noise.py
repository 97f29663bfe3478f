# SPDX-License-Identifier: Apache-2.0
"""Steps of the noising process against products of Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.diffusion import (
    cosine,
    diffuse,
    linear_betas,
    noise_of,
    posterior,
    rectified,
    sub_variance_preserving,
    transition,
    variance_exploding,
    zero_terminal_betas,
)

SCHEDULES = {
    "cosine": cosine(),
    "ve": variance_exploding(),
    "sub-vp": sub_variance_preserving(),
    "rectified": rectified(),
}


def at(schedule, *times):
    return [schedule.at(jnp.asarray(t)) for t in times]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_jump_is_two_jumps(name, x64):
    """α_t = a α_s and σ_t² = a² σ_s² + variance for every s < t."""
    before, after = at(SCHEDULES[name], 0.3, 0.8)
    step = transition(before, after)
    np.testing.assert_allclose(step.scale * before.alpha, after.alpha, rtol=1e-12)
    total = step.scale**2 * before.sigma**2 + step.variance
    np.testing.assert_allclose(total, after.sigma**2, rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_posterior_is_that_of_bayes(name, x64):
    """N(x_s; α_s x_0, σ_s²) N(x_t; a x_s, v) as a density of x_s: by adding precisions."""
    before, after = at(SCHEDULES[name], 0.3, 0.8)
    a, v = transition(before, after)
    variance = 1 / (1 / before.sigma**2 + a**2 / v)
    found = posterior(before, after)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-12)
    np.testing.assert_allclose(found.of_now, variance * a / v, rtol=1e-12)
    of_start = variance * before.alpha / before.sigma**2
    np.testing.assert_allclose(found.of_start, of_start, rtol=1e-12)


def test_steps_of_a_ddpm_are_those_of_its_paper(x64):
    """Equations 2, 4, 6 and 7 of Ho et al. 2020 with β and running products."""
    betas = linear_betas(50)
    noise = noise_of(betas)
    product = np.cumprod(1 - np.asarray(betas))
    before, after = (jax.tree.map(lambda a, part=part: a[part], noise) for part in
                     (slice(0, -1), slice(1, None)))  # fmt: skip
    step, back = transition(before, after), posterior(before, after)
    np.testing.assert_allclose(step.variance, betas, rtol=1e-10)
    np.testing.assert_allclose(step.scale, np.sqrt(1 - betas), rtol=1e-12)
    np.testing.assert_allclose(after.alpha**2, product, rtol=1e-12)
    earlier = np.concatenate([[1.0], product[:-1]])
    rest = 1 - product
    np.testing.assert_allclose(back.of_start, np.sqrt(earlier) * betas / rest, rtol=1e-9)
    of_now = np.sqrt(1 - betas) * (1 - earlier) / rest
    np.testing.assert_allclose(back.of_now, of_now, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(back.variance, (1 - earlier) / rest * betas, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("n_steps", [1, 2, 10, 1000])
@pytest.mark.parametrize("end", [lambda b: b, zero_terminal_betas])
def test_all_coefficients_are_finite(n_steps, end):
    """From t = 1, behind which there is no noise, to a T without signal; in single precision."""
    noise = noise_of(end(linear_betas(n_steps + 1)))
    before, after = (jax.tree.map(lambda a, part=part: a[part], noise) for part in
                     (slice(0, -1), slice(1, None)))  # fmt: skip
    for step in (transition(before, after), posterior(before, after)):
        assert all(np.isfinite(a).all() for a in step)
        assert all((np.asarray(a) >= 0).all() for a in step)
    first = jax.tree.map(lambda a: float(a[0]), posterior(before, after))
    np.testing.assert_allclose(first, (0.0, 1.0, 0.0), atol=1e-7)


def test_a_row_has_its_own_noise():
    """Times broadcast against images by row; x_t is α x_0 + σ ε."""
    t = jnp.asarray([0.1, 0.9])
    noise = cosine().at(t)
    x0, eps = jnp.ones((2, 4, 4, 1)), 2 * jnp.ones((2, 4, 4, 1))
    x = diffuse(x0, eps, noise)
    for row in range(2):
        np.testing.assert_allclose(x[row], noise.alpha[row] + 2 * noise.sigma[row], rtol=1e-6)
