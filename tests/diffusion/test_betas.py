# SPDX-License-Identifier: Apache-2.0
"""Schedules in steps: their ranges, their products, and the bound of Gaussian data they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d

MAKE = {
    "linear": d.linear_betas,
    "cosine": d.cosine_betas,
    "sigmoid": d.sigmoid_betas,
    "of a schedule": lambda n: d.betas_of(d.cosine(), n),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("n_steps", [1, 2, 10, 1000])
def test_every_length_has_a_chain(name, n_steps):
    """β in (0, 0.999], ᾱ strictly falling in (0, 1), λ strictly falling, in single precision."""
    betas = np.asarray(MAKE[name](n_steps))
    assert betas.shape == (n_steps,)
    assert (betas > 0).all()
    assert (betas <= np.float32(0.999)).all()
    noise = d.noise_of(jnp.asarray(betas))
    alpha = np.asarray(noise.alpha)
    assert alpha[0] == 1
    assert (np.diff(alpha) < 0).all()
    assert alpha[-1] > 0
    assert (np.diff(np.asarray(noise.log_snr)) < 0).all()


def test_products_are_those_of_the_papers(x64):
    """ᾱ_1000 of the linear betas, and of the cosine with its last β at 0.999."""
    linear, cosine = (d.noise_of(MAKE[name](1000)) for name in ("linear", "cosine"))
    np.testing.assert_allclose(linear.alpha[-1] ** 2, 4.0358e-5, rtol=1e-4)
    np.testing.assert_allclose(cosine.alpha[-1] ** 2, 2.43e-9, rtol=2e-3)
    t = np.arange(1000) / 1000
    expected = np.cos(np.pi / 2 * (t + 0.008) / 1.008) / np.cos(np.pi / 2 * 0.008 / 1.008)
    np.testing.assert_allclose(cosine.alpha[:-1], expected, rtol=1e-10)


def test_what_little_noise_there_is_keeps_its_digits():
    """1 − ᾱ in single precision against double, at every t."""
    betas = d.linear_betas(1000)
    wide = -np.expm1(np.cumsum(np.log1p(-np.asarray(betas, "f8"))))
    np.testing.assert_allclose(np.asarray(d.noise_of(betas).sigma)[1:] ** 2, wide, rtol=3e-6)


def test_betas_of_a_schedule_follow_it(x64):
    """α_t of the chain over α of the schedule is that of t = 0, everywhere."""
    schedule = d.cosine(-9.0, 12.0)
    chain = d.noise_of(d.betas_of(schedule, 40))
    noise = schedule.at(jnp.linspace(0.0, 1.0, 41))
    np.testing.assert_allclose(chain.alpha, noise.alpha / noise.alpha[0], rtol=1e-10)


def test_a_zero_terminal_chain_ends_without_signal(x64):
    """√ᾱ_1 stays, √ᾱ_T = 0, what lies between moves linearly; the last β is 1."""
    betas = d.linear_betas(100)
    moved = d.zero_terminal_betas(betas)
    before, after = (np.asarray(d.noise_of(b).alpha)[1:] for b in (betas, moved))
    expected = (before - before[-1]) * before[0] / (before[0] - before[-1])
    np.testing.assert_allclose(after, expected, rtol=1e-9, atol=1e-15)
    assert moved[-1] == 1


@pytest.mark.parametrize(
    ("name", "variance", "small", "large"),
    [
        ("linear", 0.25, 0.4563, 0.0011),
        ("linear", 1.0, 0.4649, 0.0),
        ("cosine", 0.25, 0.4022, 0.0006),
    ],
)
def test_the_gap_of_gaussian_data_is_known(name, variance, small, large, x64):
    """Data N(0, v), the best denoiser: the bound lacks ½ Σ (r − 1 − log r), r = true/used variance.

    The true variance of a reverse step is V_{t−1} β_t/V_t, V_t = ᾱ_t v + 1 − ᾱ_t; used are the
    posterior's β̃ and β. From t = 2 on.
    """
    betas = MAKE[name](1000)
    noise = d.noise_of(betas)
    before, after = (jax.tree.map(lambda a, part=part: a[part], noise) for part in
                     (slice(0, -1), slice(1, None)))  # fmt: skip
    total = [n.alpha**2 * variance + n.sigma**2 for n in (before, after)]
    true = total[0] * betas / total[1]
    for used, expected in ((d.posterior(before, after).variance, small), (betas, large)):
        ratio = true[1:] / used[1:]
        gap = 0.5 * jnp.sum(ratio - 1 - jnp.log(ratio))
        np.testing.assert_allclose(gap, expected, atol=6e-5)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("n_steps", [1, 2, 1000])
def test_in_continuous_time_the_steps_are_where_they_were(name, n_steps, x64):
    """Level i at t = i/T, and between two levels a rate that does not change."""
    betas = MAKE[name](n_steps)
    schedule, chain = d.schedule_of(betas), d.noise_of(betas)
    found = schedule.at(jnp.linspace(0.0, 1.0, n_steps + 1))
    for ours, expected in zip(found, chain, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-13)
    middle = jnp.asarray((np.arange(n_steps) + 0.3) / n_steps)
    rates = d.rates(schedule, middle)
    expected = -n_steps * np.log1p(-np.asarray(betas))
    np.testing.assert_allclose(rates.diffusion, expected, rtol=1e-9)
    np.testing.assert_allclose(rates.drift, -0.5 * expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_last_level_may_have_no_signal(dtype, x64):
    """A last β of 1: α = 0 at t = 1 in either precision, a noise prediction is refused there."""
    schedule = d.schedule_of(d.zero_terminal_betas(d.linear_betas(100)))
    noise = schedule.at(jnp.asarray([0.0, 0.5, 0.99, 1.0], dtype))
    assert schedule.zero_terminal
    assert noise.alpha[-1] == 0
    assert noise.sigma[-1] == 1
    assert noise.log_snr[-1] == -jnp.inf
    assert (noise.alpha[:-1] > 0).all()
    with pytest.raises(ValueError, match="parameterization"):
        d.check_pair(d.EPS, schedule)


def test_solvers_run_from_no_signal_down_such_a_chain():
    """Of N(0, 1) the path ends where it began, by solvers of one step and of several."""
    schedule = d.schedule_of(d.zero_terminal_betas(d.linear_betas(1000)))
    path = d.points(schedule, d.grid.uniform(100, last=0.0), clean=False)

    def denoise(x, point):
        return d.Clean(point.noise.alpha * x, point.noise.sigma * x)

    x = jnp.asarray([-1.5, 0.3, 2.0])
    for solver in (d.ddim(), d.dpm_plus_plus(2)):
        found = jax.jit(lambda x, key, s=solver: d.integrate(s, denoise, path, x, key))
        np.testing.assert_allclose(found(x, jax.random.key(0)), x, rtol=0.02)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: d.schedule_of(jnp.array([0.1, 1.0, 0.2])), "betas"),
        (lambda: d.schedule_of(jnp.array([0.0, 0.1])), "betas"),
        (lambda: d.linear_betas(0), "n_steps"),
        (lambda: d.linear_betas(5, 0.1, 0.01), "first"),
        (lambda: d.cosine_betas(5, 0.0), "offset"),
        (lambda: d.sigmoid_betas(5, 1.0, 1.0), "start"),
        (lambda: d.betas_of(d.cosine(), 0), "n_steps"),
    ],
)
def test_bad_numbers_are_refused(make, name):
    with pytest.raises(ValueError, match=name):
        make()
