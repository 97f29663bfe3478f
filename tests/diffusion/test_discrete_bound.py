# SPDX-License-Identifier: Apache-2.0
"""The bound of a chain in steps against all of its paths, on two positions of three categories."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import entropy

from jaxml import diffusion as d

K, T = 3, 3
BETAS = np.array([0.2, 0.5, 1.0])
LAWS = {"uniform": np.full(3, 1 / 3), "absorbing": np.array([0.0, 0.0, 0.0, 1.0])}
DATA = np.array(list(itertools.product(range(K), repeat=2)))
CASES = [
    ("uniform", d.discrete_posterior),
    ("uniform", d.expected_posterior),
    ("absorbing", d.discrete_posterior),
]
PRIOR = jax.jit(d.discrete_prior_divergence)


def stages():
    alpha, t = np.append(1, np.cumprod(1 - BETAS)), np.arange(T + 1) / T
    return d.stage.Stage(*map(jnp.asarray, (t, alpha, 1 - alpha)))


def at(i):
    return d.stage.Stage(*(jnp.asarray(np.asarray(a)[i]) for a in stages()))


def states(law):
    return np.array(list(itertools.product(range(len(law)), repeat=2)))


def network(law):
    """Logits of both positions for every pair x_t: a table, in which only data have a number.

    Masked diffusion carries over what is seen, as without it an x_t may be impossible.
    """
    n = len(law)
    table = np.random.default_rng(0).normal(size=(n, n, 2, n))
    table[..., law == 1] = -np.inf
    if law[-1] == 1:
        for x in itertools.product(range(n), repeat=2):
            for i in range(2):
                if x[i] < K:
                    table[x][i] = np.where(np.arange(n) == x[i], 0, -np.inf)
    return table


def predictor(law, dtype=jnp.float64):
    table = jnp.asarray(network(law), dtype)
    return lambda x, now: table[x[..., 0], x[..., 1]]


def step_kernel(beta, law):
    """q(x_t | x_s) of pairs, entry [x_s, x_t]."""
    one = (1 - beta) * np.eye(len(law)) + beta * law[None]
    return np.kron(one, one)


def reverse_kernels(law, reverse):
    """log p(x_{t−1} | x_t) of pairs for t = 1 … T, entry [x_t, x_{t−1}], by plain Bayes."""
    with np.errstate(divide="ignore"):
        p0 = np.exp(log_softmax(network(law), axis=-1)).reshape(-1, 2, len(law))
        kernels, early = [], np.eye(len(law))
        for beta in BETAS:
            one = (1 - beta) * np.eye(len(law)) + beta * law[None]
            rows = []
            for x, p in zip(states(law), p0, strict=True):
                each = []
                for i in range(2):
                    joint = early * one[:, x[i]][None]  # [x_0, x_s], x_t given
                    seen = joint.sum(1)
                    weight = (
                        p[i]
                        if reverse is d.discrete_posterior
                        else np.divide(p[i], seen, where=seen > 0, out=np.zeros_like(seen))
                    )
                    total = weight @ joint
                    each.append(total / total.sum() if total.sum() > 0 else total)
                rows.append(np.log(np.outer(*each).ravel()))
            kernels.append(np.array(rows))
            early = early @ one
        return kernels


def truth(law, reverse):
    """For every x_0: log p(x_0), and E_q log p(x_{0:T})/q(x_{1:T} | x_0) over all paths."""
    back, last = reverse_kernels(law, reverse), np.kron(law, law)
    p = last
    for kernel in back[::-1]:
        p = p @ np.exp(kernel)
    index = DATA[:, 0] * len(law) + DATA[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second, third = (step_kernel(beta, law) for beta in BETAS)
        # Paths by their x_0, x_1, x_2, x_3; those that q does not take count for nothing.
        q = first[:, :, None, None] * second[None, :, :, None] * third[None, None]
        log_p = back[0].T[:, :, None, None] + back[1].T[None, :, :, None]
        log_p = log_p + back[2].T[None, None] + np.log(last)
        bound = np.where(q > 0, q * (log_p - np.log(q)), 0.0).sum((1, 2, 3))
    return np.log(p[index]), bound[index]


def terms(law, reverse):
    """E_q of every term by the library's formulas: L_T and, for t = 1 … T, the others."""
    pairs, logits = jnp.asarray(states(law)), jnp.asarray(network(law).reshape(-1, 2, len(law)))
    pi = jnp.asarray(law)
    prior = PRIOR(jnp.asarray(DATA), at(T), pi).sum(1)
    each = jax.jit(
        lambda x0, before, after: d.discrete_step_divergence(
            pairs, jnp.tile(x0, (len(pairs), 1)), logits, before, after, pi, reverse=reverse
        ).sum(1)
    )
    found, jump = np.zeros((T, len(DATA))), np.eye(len(law) ** 2)
    for t, beta in enumerate(BETAS):
        jump = jump @ step_kernel(beta, law)
        for i, x0 in enumerate(DATA):
            q = jump[x0[0] * len(law) + x0[1]]
            cost = np.asarray(each(jnp.asarray(x0), at(t), at(t + 1)))
            found[t, i] = q[q > 0] @ cost[q > 0]
    return np.asarray(prior), found


@pytest.mark.parametrize(("name", "reverse"), CASES)
def test_the_sum_of_the_terms_is_the_bound_over_all_paths(name, reverse, x64):
    """To 1e-10 for every x_0, and below log p(x_0) of the chain that a sampler walks."""
    law = LAWS[name]
    log_p, bound = truth(law, reverse)
    prior, rest = terms(law, reverse)
    np.testing.assert_allclose(-(prior + rest.sum(0)), bound, rtol=0, atol=1e-10)
    assert (bound < log_p - 1e-3).all()
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-12)


@pytest.mark.parametrize(("name", "reverse"), CASES[1:])
def test_draws_of_the_terms_have_their_expectations(name, reverse):
    """Each within 4.5 standard errors of its sum over all x_t, in single precision."""
    law, n = LAWS[name], 20000
    with jax.enable_x64(True):
        prior, rest = terms(law, reverse)
    pi = jnp.asarray(law, jnp.float32)
    predict = predictor(law, jnp.float32)
    draw = jax.jit(lambda x0, s, key: d.discrete_bound(predict, x0, s, pi, key, reverse=reverse))
    single = jax.tree.map(lambda a: a.astype(jnp.float32), stages())
    for i in (1, 5):
        x0 = jnp.tile(jnp.asarray(DATA[i], jnp.int32), (n, 1))
        found = draw(x0, single, jax.random.key(i))
        np.testing.assert_allclose(found.prior, prior[i], atol=1e-6)
        draws = np.concatenate([np.asarray(found.reconstruction)[None], found.steps])
        assert draws.shape == (T, n)
        error = draws.std(1) / np.sqrt(n)
        assert (np.abs(draws.mean(1) - rest[:, i]) < 4.5 * error + 1e-6).all()
        np.testing.assert_allclose(found.value, -draws.sum(0) - prior[i], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "reverse"), CASES)
def test_draws_of_the_chain_have_its_law(name, reverse):
    """All nine sequences, from noise to data, within 4.5 standard errors."""
    law, n = LAWS[name], 40000
    with jax.enable_x64(True):
        log_p, _ = truth(law, reverse)
    falling = jax.tree.map(lambda a: a[::-1].astype(jnp.float32), stages())
    pi, predict = jnp.asarray(law, jnp.float32), predictor(law, jnp.float32)
    run = jax.jit(
        lambda x, key: d.discrete_ancestral(predict, falling, x, pi, key, reverse=reverse)
    )
    x = jax.random.choice(jax.random.key(1), len(law), (n, 2), p=pi)
    draws = np.asarray(run(x, jax.random.key(2)))
    found = np.array([(draws == x0).all(1).mean() for x0 in DATA])
    p = np.exp(log_p)
    assert (np.abs(found - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()


@pytest.mark.parametrize("sampler", ["discrete", "masked", "flow"])
def test_a_grid_is_compiled_once_a_length(sampler):
    """For schedules and temperatures of any kind."""
    law, traced = jnp.asarray(LAWS["absorbing"], jnp.float32), []

    def run(x, grid, key, temperature):
        traced.append(len(grid.t))
        if sampler == "masked":
            return d.masked_ancestral(
                lambda x, now: jnp.zeros((*x.shape, K)), grid, x, key, temperature=temperature
            )
        of = d.discrete_ancestral if sampler == "discrete" else d.flow_sample
        predict = predictor(LAWS["absorbing"], jnp.float32)
        return of(predict, grid, x, law, key, temperature=temperature)

    compiled, x = jax.jit(run), jnp.full((4, 2), K, jnp.int32)
    for schedule in (d.stage.linear(), d.stage.cosine()):
        for temperature in (0.5, 1.0):
            grid = schedule(d.stage.falling(5))
            found = compiled(x, grid, jax.random.key(0), jnp.asarray(temperature))
            assert (found < K).all()
    assert traced == [6]


def test_temperature_divides_the_logits_and_must_be_positive():
    law, predict = jnp.asarray(LAWS["uniform"], jnp.float32), predictor(LAWS["uniform"], "f4")
    grid, x = d.stage.linear()(d.stage.falling(4)), jnp.zeros((500, 2), jnp.int32)
    draw = jax.jit(
        lambda factor, temperature: d.discrete_ancestral(
            lambda x, now: factor * predict(x, now),
            *(grid, x, law, jax.random.key(0)),
            temperature=temperature,
        )
    )
    one, half = jnp.asarray(1.0), jnp.asarray(0.5)
    np.testing.assert_array_equal(draw(one, half), draw(1 / half, one))
    assert (draw(one, half) != draw(one, one)).any()
    with pytest.raises(ValueError, match="temperature: expected"):
        d.discrete_ancestral(predict, grid, x, law, jax.random.key(0), temperature=0.0)


@pytest.mark.parametrize("law", [LAWS["uniform"], np.array([0.5, 0.2, 0.3])])
def test_the_prior_divergence_is_that_of_scipy(law, x64):
    """At any α, exactly 0 at α = 0, and with all digits where it is tiny."""
    for alpha in (1.0, 0.6, 1e-3, 0.0):
        now = d.stage.Stage(*map(jnp.asarray, (1.0, alpha, 1 - alpha)))
        found = PRIOR(jnp.arange(3), now, jnp.asarray(law))
        q = alpha * np.eye(3) + (1 - alpha) * law
        np.testing.assert_allclose(found, entropy(q, law[None], axis=1), rtol=1e-9)


def test_masks_that_are_not_yet_certain_cost_infinitely_much():
    law = d.absorbing_law(2)
    last = d.stage.linear()(jnp.asarray([1.0, 0.9]))
    cost = PRIOR(jnp.asarray([[0], [1]]), last, law)
    np.testing.assert_array_equal(cost, [[0], [np.inf]])


@pytest.mark.parametrize(("name", "reverse"), CASES)
def test_gradients_are_finite_from_end_to_end(name, reverse):
    """In single precision, from α = 1 to α = 0 with their neighbours, at extreme logits too."""
    law = jnp.asarray(LAWS[name], jnp.float32)
    times = jnp.asarray([0.0, 1e-7, 1e-3, 0.5, 1 - 2.0**-20, 1.0])
    x0 = jnp.asarray([[0, 1], [2, 2]], jnp.int32)
    # At every time an x_t that is possible: noise, and half of it where something is left.
    noise = K * jnp.ones_like(x0) if name == "absorbing" else jnp.ones_like(x0)
    half = noise.at[:, 0].set(x0[:, 0])
    xs = jnp.stack([half, half, half, half, noise])

    def cost(logits):
        def each(x, before, after):
            shown = d.carry_over(logits, x) if name == "absorbing" else logits
            shown = jnp.pad(shown, ((0, 0), (0, 0), (0, len(law) - K)), constant_values=-jnp.inf)
            return d.discrete_step_divergence(x, x0, shown, before, after, law, reverse=reverse)

        _, before, after = d.stage.pairs(d.stage.linear()(times))
        return jnp.sum(jax.vmap(each)(xs, before, after))

    slope = jax.jit(jax.value_and_grad(cost))
    for seed, scale in enumerate([1.0, 30.0, 300.0]):
        value, gradient = slope(scale * jax.random.normal(jax.random.key(seed), (2, 2, K)))
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()
        assert jnp.abs(gradient).max() > 1e-3


def test_nats_of_a_sequence_are_bits_of_its_tokens():
    np.testing.assert_allclose(d.bits_per_token(jnp.asarray([-8 * np.log(2)], "f4"), 4), 2.0)
