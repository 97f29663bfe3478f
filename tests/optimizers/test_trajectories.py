# SPDX-License-Identifier: Apache-2.0
"""Every update rule follows the path of Optax's over 500 steps, wherever Optax has the rule."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from jaxml import optimizers

STEPS = 500
RNG = np.random.default_rng(0)


def quadratic(params):
    """½ Σ aᵢ xᵢ² with curvatures from 0.1 to 10; its state is a matrix and a vector."""
    a = jnp.linspace(0.1, 10.0, 12).astype(params["b"].dtype)
    x = jnp.concatenate([params["w"].ravel(), params["b"]])
    return 0.5 * jnp.sum(a * jnp.square(x))


def rosenbrock(params):
    """Σ 100(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)², scaled down so that plain descent survives it."""
    x = jnp.concatenate([params["w"].ravel(), params["b"]])
    valley = jnp.square(x[1:] - jnp.square(x[:-1]))
    return jnp.sum(100 * valley + jnp.square(1 - x[:-1])) / 1000


def network(params):
    """Mean squared error of a small network on 32 fixed points."""
    x = jnp.asarray(np.linspace(-1, 1, 64).reshape(32, 2), params["w"].dtype)
    h = jnp.tanh(x @ params["w"].T + params["b"][None])
    return jnp.mean(jnp.square(jnp.sum(h, -1) - jnp.sin(3 * x[:, 0])))


PROBLEMS = {"quadratic": quadratic, "rosenbrock": rosenbrock, "network": network}
START = {"w": RNG.normal(0, 0.5, (4, 2)), "b": RNG.normal(0, 0.5, 4)}

ours, theirs = optimizers, optax


def factored(rate, memory, **options):
    """Optax's Adafactor, but with ρ in the precision of the parameters."""
    options["decay_rate_fn"] = lambda i, power: 1 - (i + 1.0) ** -power
    return optax.chain(
        optax.scale_by_factored_rms(**options),
        optax.clip_by_block_rms(1.0),
        optax.scale_by_learning_rate(rate, flip_sign=False),
        optax.scale_by_param_block_rms(),
        memory,
        optax.scale(-1),
    )


RULES = {
    "sgd": (ours.sgd, theirs.sgd),
    "momentum": (ours.momentum, partial(theirs.sgd, momentum=0.9)),
    "nesterov": (ours.nesterov, partial(theirs.sgd, momentum=0.9, nesterov=True)),
    "adagrad inside": (
        partial(ours.adagrad, eps=1e-7, eps_inside=True, initial=0.1),
        theirs.adagrad,
    ),
    "rmsprop": (
        partial(ours.rmsprop, eps=1e-3),
        partial(theirs.rmsprop, eps=1e-3, eps_in_sqrt=False),
    ),
    "rmsprop inside": (partial(ours.rmsprop, eps_inside=True), theirs.rmsprop),
    "rmsprop centered": (
        partial(ours.rmsprop, centered=True, eps=0.1, momentum=0.5),
        partial(theirs.rmsprop, centered=True, eps=0.1, momentum=0.5, eps_in_sqrt=False),
    ),
    "adam": (ours.adam, theirs.adam),
    "adamw": (partial(ours.adamw, weight_decay=0.1), partial(theirs.adamw, weight_decay=0.1)),
    "amsgrad": (ours.amsgrad, theirs.amsgrad),
    "nadam": (ours.nadam, theirs.nadam),
    "radam": (ours.radam, theirs.radam),
    "lion": (partial(ours.lion, weight_decay=0.1), partial(theirs.lion, weight_decay=0.1)),
    "lamb": (partial(ours.lamb, weight_decay=0.1), partial(theirs.lamb, weight_decay=0.1)),
    "adafactor": (
        partial(ours.adafactor, least_size=2, momentum=0.9),
        lambda rate: factored(rate, theirs.ema(0.9, debias=False), min_dim_size_to_factor=2),
    ),
    "adafactor of vectors": (ours.adafactor, lambda rate: factored(rate, theirs.identity())),
    "schedule-free sgd": (
        lambda rate: ours.schedule_free(ours.sgd(rate), rate),
        lambda rate: theirs.contrib.schedule_free(theirs.sgd(rate), rate),
    ),
    "schedule-free adam": (
        lambda rate: ours.schedule_free(ours.adam(rate, b1=0.0), rate),
        lambda rate: theirs.contrib.schedule_free(theirs.adam(rate, b1=0.0), rate),
    ),
}
CONSTANT_ONLY = {"momentum", "nesterov"}
"""Under a schedule the learning rate inside of the velocity is another rule."""


QUICK = {"radam", "schedule-free sgd"}
"""Checked by default in single precision too; all would take a minute and a half of compiling."""

NEAR = {"rmsprop inside", "adamw", "amsgrad", "nadam", "adafactor of vectors", "schedule-free adam"}
"""Variants that differ from a rule beside them in one line."""


def path(rule, loss, start, steps=STEPS):
    """All parameters on the way, under scan."""

    def step(carry, _):
        params, state = carry
        with jax.numpy_dtype_promotion("standard"):
            delta, state = rule.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, delta)
        return (params, state), params

    @jax.jit
    def run(params):
        return jax.lax.scan(step, (params, rule.init(params)), None, length=steps)[1]

    return run(start)


def rate_of(name):
    """One schedule for both sides: Optax's own are computed in single precision.

    Small, because a rule that steps over its minimum again and again multiplies roundings.
    """
    return 0.001 if name in CONSTANT_ONLY else optimizers.schedule.exponential(0.002, 0.6, 50)


def together(params):
    """All problems side by side: each has parameters of its own."""
    return sum(loss(params[name]) for name, loss in PROBLEMS.items())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in NEAR else name for name in RULES]
)
def test_paths_agree_in_double_precision(name, x64):
    """500 steps on each problem, 1e-12 everywhere on the way."""
    start = {problem: jax.tree.map(jnp.asarray, START) for problem in PROBLEMS}
    mine, other = (path(build(rate_of(name)), together, start) for build in RULES[name])
    for problem in PROBLEMS:
        assert np.abs(mine[problem]["w"][-1] - start[problem]["w"]).max() > 1e-2
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-12), mine, other)


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RULES],
)
def test_single_precision_stays_on_the_path_of_double_precision(name):
    """Within 1e-6 over 500 steps, or as near as Optax in single precision comes.

    Optax forms 1 − βᵗ by a subtraction that loses five digits at first, and is up to 1e-5 away.
    """
    mine, other = (build(rate_of(name)) for build in RULES[name])
    start = {problem: jax.tree.map(jnp.float32, START) for problem in PROBLEMS}
    single, theirs = path(mine, together, start), path(other, together, start)
    with jax.enable_x64(True):
        double = {problem: jax.tree.map(jnp.asarray, START) for problem in PROBLEMS}
        truth = jax.tree.leaves(path(other, together, double))
    for run, expected, rival in zip(*map(jax.tree.leaves, (single, truth, theirs)), strict=True):
        error, allowed = (np.abs(np.asarray(x) - np.asarray(expected)).max() for x in (run, rival))
        assert error <= np.nanmax([1e-6, 1.1 * allowed])


@pytest.mark.parametrize("least", [1, 2])
def test_adafactor_factors_the_two_longest_axes(x64, least):
    """Kernels of three axes, whichever two are the longest, in whichever order."""
    shapes = {"a": (2, 4, 3), "b": (4, 2, 3), "c": (3, 4, 2), "d": (2, 5), "e": (1, 3)}
    start = {name: jnp.asarray(RNG.normal(size=shape)) for name, shape in shapes.items()}

    def loss(params):
        return sum(jnp.sum(jnp.cos(p) + p**4) for p in params.values())

    mine = path(optimizers.adafactor(0.01, least_size=least), loss, start, 40)
    other = path(factored(0.01, optax.identity(), min_dim_size_to_factor=least), loss, start, 40)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-12), mine, other)


def test_muon_follows_optax_on_matrices(x64):
    """Both scalings of a matrix, wide and tall, and weight decay."""
    start = {
        "wide": jnp.asarray(RNG.normal(size=(3, 5))),
        "tall": jnp.asarray(RNG.normal(size=(6, 2))),
    }

    def loss(params):
        return jnp.sum(jnp.square(params["wide"] - 1)) + jnp.sum(params["tall"] ** 4)

    mine = path(optimizers.muon(0.01, weight_decay=0.1), loss, start, 100)
    other = path(optax.contrib.muon(0.01, weight_decay=0.1), loss, start, 100)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-11), mine, other)


def test_rules_compose_with_optax():
    """`optax.chain` takes ours as its own, and a clip of Optax is our clip."""
    start = jax.tree.map(jnp.float32, START)
    mixed = optax.chain(optax.clip_by_global_norm(0.1), optimizers.adam(0.01))
    pure = optax.chain(optimizers.clip_by_norm(0.1), optimizers.adam(0.01))
    mine, other = path(pure, network, start, 50), path(mixed, network, start, 50)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), mine, other)
