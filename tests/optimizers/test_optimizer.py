# SPDX-License-Identifier: Apache-2.0
"""Laws of update rules that follow from their formulas alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import optimizers
from jaxml.numerics import widen

ALL = {
    "sgd": optimizers.sgd,
    "momentum": optimizers.momentum,
    "nesterov": optimizers.nesterov,
    "adagrad": optimizers.adagrad,
    "rmsprop": optimizers.rmsprop,
    "adam": optimizers.adam,
    "adamw": optimizers.adamw,
    "amsgrad": optimizers.amsgrad,
    "nadam": optimizers.nadam,
    "radam": optimizers.radam,
    "lion": optimizers.lion,
    "lamb": optimizers.lamb,
    "adafactor": optimizers.adafactor,
    "muon": optimizers.muon,
    "schedule_free": lambda rate: optimizers.schedule_free(optimizers.sgd(rate), rate),
}
MATRIX = np.random.default_rng(0).normal(size=(3, 4))


def descend(rule, gradient, params, n):
    """n steps, one at a time."""

    @jax.jit
    def step(params, state):
        delta, state = rule.update(gradient(params), state, params)
        return jax.tree.map(jnp.add, params, delta), state

    state = rule.init(params)
    for _ in range(n):
        params, state = step(params, state)
    return params, state


def test_gradient_descent_on_a_quadratic_is_a_matrix_power(x64):
    """xₖ = (I − ηA)ᵏ x₀ to 1e-12."""
    a = jnp.asarray(MATRIX @ MATRIX.T)
    found, _ = descend(optimizers.sgd(0.05), lambda x: a @ x, jnp.ones(3), 20)
    expected = np.linalg.matrix_power(np.eye(3) - 0.05 * MATRIX @ MATRIX.T, 20) @ np.ones(3)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_momentum_holds_the_learning_rate_inside_its_velocity(x64):
    """v ← αv − ηg; θ ← θ + v. With α = 1/2 and g = 1 the steps are η, 3η/2, 7η/4, and so on."""
    params, state = descend(optimizers.momentum(0.1, 0.5), jnp.ones_like, jnp.zeros(1), 3)
    np.testing.assert_allclose(params, [-0.1 * (1 + 1.5 + 1.75)], rtol=1e-14)
    np.testing.assert_allclose(state["slots"]["velocity"], [-0.175], rtol=1e-14)


def test_a_velocity_is_a_sum_and_not_an_average(x64):
    """Under a constant gradient v tends to −ηg/(1 − α), ten times the step, and not to −ηg."""
    _, state = descend(optimizers.momentum(0.1, 0.9), jnp.ones_like, jnp.zeros(1), 400)
    np.testing.assert_allclose(state["slots"]["velocity"], [-1.0], rtol=1e-12)


def test_under_a_schedule_a_velocity_remembers_the_rates_it_was_made_with(x64):
    """v = −(η₀ α + η₁) after two steps; with the rate outside it would be −η₁(α + 1)."""
    rule = optimizers.momentum(lambda t: jnp.where(t < 1, 1.0, 0.1), 0.5)
    _, state = descend(rule, jnp.ones_like, jnp.zeros(1), 2)
    np.testing.assert_allclose(state["slots"]["velocity"], [-(1.0 * 0.5 + 0.1)], rtol=1e-14)


def test_nesterov_is_the_look_ahead_form_after_a_change_of_variable(x64):
    """`behind` gives θ of v ← αv − ηg(θ + αv), θ ← θ + v, at every step."""
    a, alpha, eta = jnp.asarray(MATRIX @ MATRIX.T), 0.8, 0.02
    rule = optimizers.nesterov(eta, alpha)

    @jax.jit
    def step(phi, state):
        delta, state = rule.update(a @ phi, state, phi)
        return phi + delta, state, optimizers.behind(phi + delta, state, alpha)

    phi, theta, v = jnp.ones(3), np.ones(3), np.zeros(3)
    state = rule.init(phi)
    for _ in range(15):
        v = alpha * v - eta * (np.asarray(a) @ (theta + alpha * v))
        theta = theta + v
        phi, state, found = step(phi, state)
        np.testing.assert_allclose(found, theta, rtol=1e-12)
    assert np.abs(np.asarray(phi) - theta).max() > 1e-3


@pytest.mark.parametrize("name", ["adam", "nadam", "lion", "rmsprop", "adagrad", "amsgrad"])
def test_first_steps_have_the_length_of_the_rate(name, x64):
    """Adam's first step is −η sign(g), whatever the size of g; RMSProp's is −η/√(1 − ρ)."""
    g = jnp.array([1e-3, -7.0, 1e4])
    delta, _ = ALL[name](0.1).update(g, ALL[name](0.1).init(g), g)
    length = {"rmsprop": 0.1 / np.sqrt(0.1), "nadam": 0.1 * (0.9 * 0.1 / 0.19 + 1)}.get(name, 0.1)
    np.testing.assert_allclose(delta, -length * np.sign(g), rtol=1e-4)


def test_a_sum_of_losses_needs_another_rate_but_not_with_adam(x64):
    """η_mean = n η_sum for descent and momentum; Adam and its kin do not see the factor."""

    def gradient(x, factor):
        return factor * (x - jnp.array([1.0, -2.0]))

    n, start = 64, jnp.zeros(2)
    for build in (optimizers.sgd, optimizers.momentum):
        of_sum, _ = descend(build(1e-3), lambda x: gradient(x, n), start, 10)
        of_mean, _ = descend(build(1e-3 * n), lambda x: gradient(x, 1.0), start, 10)
        np.testing.assert_allclose(of_sum, of_mean, rtol=1e-12)
    for name in ("adam", "rmsprop", "adagrad", "lion", "nadam"):
        of_sum, _ = descend(ALL[name](0.01), lambda x: gradient(x, n), start, 10)
        of_mean, _ = descend(ALL[name](0.01), lambda x: gradient(x, 1.0), start, 10)
        scaled, _ = descend(ALL[name](0.01 * n), lambda x: gradient(x, 1.0), start, 10)
        np.testing.assert_allclose(of_sum, of_mean, rtol=1e-6)
        assert np.abs(scaled - of_sum).max() > 0.1


def test_printed_without_its_decay_rmsprop_is_adagrad(x64):
    """r ← r + g² is AdaGrad; RMSProp's r ← ρr + (1 − ρ)g² forgets, and its steps do not die out."""
    rate, n = 0.1, 400
    faded, _ = descend(optimizers.adagrad(rate), jnp.ones_like, jnp.zeros(1), n)
    np.testing.assert_allclose(faded, [-rate * np.sum(1 / np.sqrt(np.arange(1, n + 1)))], rtol=1e-9)
    steady, _ = descend(optimizers.rmsprop(rate), jnp.ones_like, jnp.zeros(1), n)
    assert steady[0] < -rate * (n - 1)


def test_the_variance_of_a_constant_gradient_fades_and_keeps_its_sign():
    """r − m² = g²(1 − ρⁿ)ρⁿ; as a difference in single precision it would be noise of 1e-7 g²."""
    rule, g, n = optimizers.rmsprop(0.1, decay=0.9, centered=True), jnp.full(3, 1e3), 200
    state, update = rule.init(g), jax.jit(rule.update)
    for _ in range(n):
        _, state = update(g, state, g)
    expected = 1e6 * (1 - 0.9**n) * 0.9**n
    np.testing.assert_allclose(state["slots"]["variance"], expected, rtol=1e-4)


def test_weight_decay_is_an_l2_penalty_for_plain_descent_only(x64):
    """θ ← (1 − ηλ)θ − ηg both ways with SGD; inside Adam the penalty is divided by √v̂ again."""
    target, shrink = jnp.array([3.0, -1.0]), 0.1

    def gradient(x):
        return x - target

    penalized, _ = descend(optimizers.sgd(0.1), lambda x: gradient(x) + shrink * x, target, 5)
    x = target
    for _ in range(5):
        x = (1 - 0.1 * shrink) * x - 0.1 * gradient(x)
    np.testing.assert_allclose(penalized, x, rtol=1e-12)
    inside, _ = descend(optimizers.adam(0.1), lambda x: gradient(x) + shrink * x, target, 5)
    beside, _ = descend(optimizers.adamw(0.1, weight_decay=shrink), gradient, target, 5)
    assert np.abs(inside - beside).max() > 0.1


def test_weights_decay_where_they_are_chosen():
    """`where` sees paths such as layers/0/kernel, and what it leaves out follows plain Adam."""
    params = {"layers": [{"kernel": jnp.ones(2), "bias": jnp.ones(2)}]}
    zeros = jax.tree.map(jnp.zeros_like, params)
    seen = []

    def where(path):
        seen.append(path)
        return path.endswith("kernel")

    rule = optimizers.adamw(0.1, weight_decay=0.5, where=where)
    delta, _ = rule.update(zeros, rule.init(params), params)
    assert sorted(seen) == ["layers/0/bias", "layers/0/kernel"]
    np.testing.assert_allclose(delta["layers"][0]["kernel"], [-0.05, -0.05], rtol=1e-6)
    np.testing.assert_array_equal(delta["layers"][0]["bias"], [0.0, 0.0])


@pytest.mark.parametrize("name", ALL)
def test_half_precision_parameters_have_slots_in_single_precision(name):
    """bfloat16 in, Δ in bfloat16 out, every moment float32, as near to float32 as Δ can be."""
    rule = ALL[name](0.1)
    half = jnp.asarray(MATRIX, jnp.bfloat16)
    state = rule.init(half)
    for leaf in jax.tree.leaves(state):
        assert leaf.dtype in (jnp.float32, jnp.int32)
    update = jax.jit(rule.update)
    delta, after = update(half, state, half)
    assert delta.dtype == jnp.bfloat16
    wide = widen(half)
    expected, _ = update(wide, rule.init(wide), wide)
    np.testing.assert_allclose(delta.astype(jnp.float32), expected, rtol=1e-2, atol=2e-3)
    assert jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.parametrize("name", ALL)
def test_rules_are_transformed_like_functions(name):
    """Ensembles under vmap are the members alone; jit and checkpoint change nothing."""
    rule = ALL[name](0.1)
    params = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4, 5)), jnp.float32)

    def two(p):
        state = rule.init(p)
        delta, state = rule.update(jnp.sin(p), state, p)
        return p + delta + rule.update(jnp.cos(p), state, p + delta)[0]

    alone = jnp.stack([two(p) for p in params])
    np.testing.assert_allclose(jax.jit(jax.vmap(two))(params), alone, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(jax.checkpoint(two)(params[0]), alone[0], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ALL)
def test_zero_gradients_leave_zero_parameters_finite(name):
    """0/0 is met by every adaptive rule, and must not become NaN."""
    rule = ALL[name](0.1)
    zero, update = jnp.zeros((2, 3)), jax.jit(rule.update)
    delta, state = update(zero, rule.init(zero), zero)
    delta, _ = update(zero, state, zero + delta)
    np.testing.assert_array_equal(delta, zero)


def test_lamb_trusts_fully_where_a_norm_is_zero():
    """φ = 1 for a leaf of zeros, which has no size yet, and for a step of zero."""
    rule, g = optimizers.lamb(0.1, eps=0.0), jnp.asarray([2.0, -3.0])
    delta, _ = rule.update(g, rule.init(g), 0 * g)
    np.testing.assert_allclose(delta, [-0.1, 0.1], rtol=1e-6)
    rule = optimizers.lamb(0.1)
    delta, _ = rule.update(0 * g, rule.init(g), g)
    np.testing.assert_array_equal(delta, 0)


def test_schedule_free_averages_nothing_while_the_rate_is_zero():
    """Weights η² of a warm-up begin with 0/0: the average waits, the path stays finite."""
    warm = optimizers.schedule.warm_up(3, optimizers.schedule.constant(0.1))
    rule = optimizers.schedule_free(optimizers.sgd(warm), warm)
    x = jnp.asarray([1.0, -2.0])
    delta, state = rule.update(x, rule.init(x), x)
    np.testing.assert_array_equal(delta, 0)
    delta, _ = rule.update(x, state, x)
    assert np.all(np.sign(delta) == -np.sign(x))


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "adagrad", "lamb", "adafactor"])
def test_a_gradient_that_is_not_finite_is_never_hidden(name):
    """NaN in, NaN out: it is the guard's place to act on it."""
    rule = ALL[name](0.1)
    params = jnp.ones((2, 3))
    delta, _ = rule.update(params.at[0, 0].set(jnp.nan), rule.init(params), params)
    assert not np.isfinite(delta[0, 0])


def test_bad_numbers_are_refused_by_name():
    """Constructors name the argument, updates say that they need the parameters."""
    for build, name in [
        (lambda: optimizers.momentum(0.1, 1.0), "decay"),
        (lambda: optimizers.nesterov(0.1, -0.1), "decay"),
        (lambda: optimizers.adam(0.1, b1=1.0), "b1"),
        (lambda: optimizers.adam(0.1, b2=1.5), "b2"),
        (lambda: optimizers.adam(0.1, eps=-1.0), "eps"),
        (lambda: optimizers.adamw(0.1, weight_decay=-1.0), "weight_decay"),
        (lambda: optimizers.radam(0.1, threshold=3.0), "threshold"),
        (lambda: optimizers.rmsprop(0.1, momentum=1.0), "momentum"),
        (lambda: optimizers.adagrad(0.1, initial=-1.0), "initial"),
        (lambda: optimizers.clip_by_norm(0.0), "limit"),
        (lambda: optimizers.clip_by_value(-1.0), "limit"),
        (lambda: optimizers.clip_adaptively(0.0), "ratio"),
        (lambda: optimizers.schedule_free(optimizers.sgd(0.1), 0.1, decay=0.0), "decay"),
        (lambda: optimizers.muon(0.1).init(jnp.zeros(3)), "matrices"),
    ]:
        with pytest.raises(ValueError, match=name):
            build()
    for name in ("adamw", "lamb", "adafactor", "muon", "schedule_free"):
        rule, x = ALL[name](0.1), jnp.ones((2, 2))
        with pytest.raises(ValueError, match="needs the parameters"):
            rule.update(x, rule.init(x))
