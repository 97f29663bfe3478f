# SPDX-License-Identifier: Apache-2.0
"""Learning rates against Optax, and at their corners."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxml.optimizers import schedule

CASES = {
    "constant": (schedule.constant(0.1), optax.constant_schedule(0.1)),
    "exponential": (schedule.exponential(0.1, 0.9, 7), optax.exponential_decay(0.1, 7, 0.9)),
    "staircase": (
        schedule.exponential(0.1, 0.9, 7, staircase=True),
        optax.exponential_decay(0.1, 7, 0.9, staircase=True),
    ),
    "steps": (
        schedule.steps(0.1, 0.5, (5, 20)),
        optax.piecewise_constant_schedule(0.1, {5: 0.5, 20: 0.5}),
    ),
    "linear": (schedule.polynomial(0.1, 0.01, 30), optax.linear_schedule(0.1, 0.01, 30)),
    "polynomial": (
        schedule.polynomial(0.1, 0.01, 30, power=2.5),
        optax.polynomial_schedule(0.1, 0.01, 2.5, 30),
    ),
    "cosine": (
        schedule.cosine(0.1, 30, last=0.02),
        optax.cosine_decay_schedule(0.1, 30, alpha=0.2),
    ),
    "warm-up": (
        schedule.warm_up(10, schedule.cosine(0.1, 30), first=0.01),
        optax.warmup_cosine_decay_schedule(0.01, 0.1, 10, 40),
    ),
    "one cycle": (
        schedule.one_cycle(0.1, 40, rise=0.25),
        optax.cosine_onecycle_schedule(40, 0.1, 0.25),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_schedules_are_those_of_optax(name):
    """At every update up to and beyond the end, traced, and for all updates at once."""
    ours, theirs = CASES[name]
    t = jnp.arange(60)
    with jax.numpy_dtype_promotion("standard"):
        expected = [float(theirs(i)) for i in range(60)]
    np.testing.assert_allclose(jax.jit(jax.vmap(ours))(t), expected, rtol=2e-6, atol=1e-8)
    np.testing.assert_allclose(ours(t), expected, rtol=2e-6, atol=1e-8)


def test_inverse_square_root_is_constant_and_then_falls():
    """η for T updates, η/2 at 4T."""
    rate = schedule.inverse_square_root(0.1, 100)
    np.testing.assert_allclose(rate(jnp.array([0, 100, 400])), [0.1, 0.1, 0.05], rtol=1e-6)


def test_warm_up_of_nothing_is_what_follows():
    """T = 0 leaves the schedule alone; at T it begins."""
    after = schedule.cosine(0.1, 30)
    assert schedule.warm_up(0, after) is after
    rate = schedule.warm_up(4, schedule.constant(0.2))
    np.testing.assert_allclose(rate(jnp.arange(6)), [0, 0.05, 0.1, 0.15, 0.2, 0.2], rtol=1e-6)


def test_bad_shapes_of_schedules_are_refused_by_name():
    for build, name in [
        (lambda: schedule.exponential(0.1, 0.0, 5), "decay"),
        (lambda: schedule.exponential(0.1, 0.5, 0), "period"),
        (lambda: schedule.steps(0.1, 0.5, (5, 5)), "at"),
        (lambda: schedule.polynomial(0.1, 0.0, 0), "length"),
        (lambda: schedule.polynomial(0.1, 0.0, 5, power=0.0), "power"),
        (lambda: schedule.cosine(0.1, 0), "length"),
        (lambda: schedule.inverse_square_root(0.1, 0), "length"),
        (lambda: schedule.warm_up(-1, schedule.constant(0.1)), "length"),
        (lambda: schedule.one_cycle(0.1, 10, rise=0.0), "rise"),
        (lambda: schedule.one_cycle(0.1, 10, rise=1.0), "rise"),
        (lambda: schedule.one_cycle(0.1, 10, last=0.0), "first, last"),
    ]:
        with pytest.raises(ValueError, match=f"{name}: expected"):
            build()
