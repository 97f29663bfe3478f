# SPDX-License-Identifier: Apache-2.0
"""Discrete kernels against products of matrices and against Bayes, by enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d

BETAS = np.array([0.05, 0.3, 0.2, 0.6, 1.0])
T, K = len(BETAS), 3
LAWS = {
    "uniform": np.full(3, 1 / 3),
    "absorbing": np.array([0.0, 0.0, 0.0, 1.0]),
    "any": np.array([0.5, 0.1, 0.15, 0.25]),
}
STEP, JUMP = jax.jit(d.discrete_step), jax.jit(d.discrete_jump)
PLUGGED, AVERAGED = jax.jit(d.discrete_posterior), jax.jit(d.expected_posterior)


def at(i):
    """The stage after i steps."""
    alpha = np.append(1, np.cumprod(1 - BETAS))[i]
    return d.stage.Stage(*map(jnp.asarray, (i / T, alpha, 1 - alpha)))


def matrices(law):
    """Q_t = (1 − β_t) I + β_t 1 πᵀ."""
    return [(1 - b) * np.eye(len(law)) + b * law[None] for b in BETAS]


def logits_of(p):
    with np.errstate(divide="ignore"):
        return jnp.asarray(np.log(p))


def some_law(law, seed=0):
    """p(x_0) of a network: never the mask."""
    p = np.random.default_rng(seed).dirichlet(np.ones(len(law)))
    return np.where(law == 1, 0, p) / p[law < 1].sum()


def bayes(law, t, s, p):
    """Σ over x_0 of the joint law of (x_0, x_s, x_t), x_0 drawn from p: entry [x_s, x_t]."""
    steps = matrices(law)
    early = np.linalg.multi_dot([np.eye(len(law)), np.eye(len(law)), *steps[:s]])
    late = np.linalg.multi_dot([np.eye(len(law)), np.eye(len(law)), *steps[s:t]])
    return (p @ early)[:, None] * late


@pytest.mark.parametrize("name", LAWS)
def test_the_law_of_noise_is_stationary_and_reached(name, x64):
    """π Q = π, rows sum to 1, and from β = 1 on nothing else is left."""
    law = LAWS[name]
    one_hot = jnp.eye(len(law))
    for t in range(1, T + 1):
        step = STEP(one_hot, at(t - 1), at(t), jnp.asarray(law))
        np.testing.assert_allclose(law @ step, law, atol=1e-15)
        np.testing.assert_allclose(step.sum(1), 1, rtol=1e-14)
    np.testing.assert_allclose(
        JUMP(one_hot, at(T), jnp.asarray(law)), np.tile(law, (len(law), 1)), atol=1e-15
    )


@pytest.mark.parametrize("name", LAWS)
def test_a_jump_is_the_product_of_its_steps(name, x64):
    """For all pairs of times, from any law of x_s."""
    law, steps = LAWS[name], matrices(LAWS[name])
    x = np.random.default_rng(1).dirichlet(np.ones(len(law)), 2)
    for s, t in itertools.combinations(range(T + 1), 2):
        product = x
        for step in steps[s:t]:
            product = product @ step
        found = STEP(jnp.asarray(x), at(s), at(t), jnp.asarray(law))
        np.testing.assert_allclose(found, product, rtol=1e-12, atol=1e-15)
        if s == 0:
            found = JUMP(jnp.asarray(x), at(t), jnp.asarray(law))
            np.testing.assert_allclose(found, product, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LAWS)
def test_the_posterior_is_that_of_bayes(name, x64):
    """All s < t, x_0 and possible x_t, at t = T with α = 0 and at s = 0 with α = 1 too."""
    law = LAWS[name]
    for s, t in itertools.combinations(range(T + 1), 2):
        for x0 in range(K):
            joint = bayes(law, t, s, np.eye(len(law))[x0])
            found = PLUGGED(
                jnp.arange(len(law)),
                jnp.tile(logits_of(np.eye(len(law))[x0]), (len(law), 1)),
                at(s),
                at(t),
                jnp.asarray(law),
            )
            able = joint.sum(0) > 0
            truth = (joint[:, able] / joint[:, able].sum(0)).T
            np.testing.assert_allclose(jnp.exp(found)[able], truth, rtol=1e-12, atol=1e-14)
            assert jnp.isnan(found)[~able].all()


@pytest.mark.parametrize("name", LAWS)
def test_the_law_of_x0_is_plugged_in_or_averaged_over(name, x64):
    """Plugged in it weighs joint laws of (x_s, x_t), averaged over it weighs posteriors."""
    law = LAWS[name]
    p = some_law(law)
    for s, t in [(0, 1), (1, 3), (2, T), (0, T)]:
        joint = bayes(law, t, s, p)
        each = [bayes(law, t, s, np.eye(len(law))[x0]) for x0 in range(len(law))]
        for x in np.flatnonzero(joint.sum(0)):
            given = jnp.asarray(x), logits_of(p) + 3.0, at(s), at(t), jnp.asarray(law)
            plugged = jnp.exp(PLUGGED(*given))
            np.testing.assert_allclose(plugged, joint[:, x] / joint[:, x].sum(), rtol=1e-11)
            able = [x0 for x0 in range(len(law)) if each[x0][:, x].sum() > 0 and p[x0] > 0]
            mean = sum(p[x0] * each[x0][:, x] / each[x0][:, x].sum() for x0 in able)
            averaged = jnp.exp(AVERAGED(*given))
            np.testing.assert_allclose(averaged, mean / p[able].sum(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", LAWS)
def test_with_the_truth_about_x0_the_reverse_step_is_exact(name, x64):
    """Two positions that depend on each other: p(x_s^i | x_t) of the joint law, for every x_t.

    The average wants p(x_0^i | x_t), the other p(x_0^i | x_t at the other position).
    """
    law, (s, t) = LAWS[name], (1, 3)
    n = len(law)
    data = np.zeros((n, n))
    data[:K, :K] = np.random.default_rng(2).dirichlet(np.ones(K * K)).reshape(K, K)
    early = bayes(law, s, 0, np.ones(n)).T.T  # q(x_s | x_0), since x_0 is weighed by 1
    jump, step = early, np.asarray(STEP(jnp.eye(n), at(s), at(t), jnp.asarray(law)))
    whole = jump @ step
    for x in itertools.product(range(n), repeat=2):
        seen = whole[:, x[0]], whole[:, x[1]]
        of_x0 = data * seen[0][:, None] * seen[1][None]
        if of_x0.sum() == 0:
            continue
        # p(x_s^0, x_t) = Σ over both x_0 of data · q(x_s, x_t | x_0^0) q(x_t | x_0^1).
        truth = (data @ seen[1]) @ (jump * step[:, x[0]][None])
        rest = jnp.asarray(x[0]), at(s), at(t), jnp.asarray(law)
        for posterior, p in [
            (AVERAGED, of_x0.sum(1)),
            (PLUGGED, data @ seen[1]),
        ]:
            found = posterior(rest[0], logits_of(p), *rest[1:])
            np.testing.assert_allclose(jnp.exp(found), truth / truth.sum(), rtol=1e-11, atol=1e-14)


def test_two_categories_are_the_diffusion_of_bits(x64):
    """Steps, jumps and posteriors are those of the binomial kernel."""
    betas, law, bits = d.binomial_betas(6), d.uniform_law(2), jnp.asarray([0, 1])
    left = d.kept(betas)
    stages = [np.asarray(a) for a in d.stage.of_betas(betas)]
    for t in range(1, 7):
        now, then = (d.stage.Stage(*(jnp.asarray(a[i]) for a in stages)) for i in (t, t - 1))
        step = STEP(jnp.eye(2), then, now, law)
        x = bits.astype(float)
        np.testing.assert_allclose(step[:, 1], d.binomial_step(x, betas[t - 1]), rtol=1e-12)
        jump = JUMP(jnp.eye(2), now, law)
        np.testing.assert_allclose(jump[:, 1], d.binomial_jump(x, left[t]), rtol=1e-12)
        for x0 in (0, 1):
            log_p = PLUGGED(bits, jnp.tile(logits_of(np.eye(2)[x0]), (2, 1)), then, now, law)
            truth = d.binomial_posterior(x, jnp.full(2, float(x0)), betas[t - 1], left[t - 1])
            np.testing.assert_allclose(jnp.exp(log_p[:, 1]), truth, rtol=1e-12, atol=1e-14)


def test_a_batch_is_its_rows_under_jit_and_vmap():
    """Each row at its own times, in single precision."""
    rng = np.random.default_rng(3)
    x, logits = jnp.asarray(rng.integers(0, 4, (5, 2))), jnp.asarray(rng.normal(size=(5, 2, 4)))
    x, logits = x.astype(jnp.int32), logits.astype(jnp.float32)
    before, after = (d.stage.cosine()(jnp.linspace(a, b, 5)) for a, b in [(0.0, 0.7), (0.2, 1.0)])
    law = jnp.asarray(LAWS["any"], jnp.float32)
    for posterior in (PLUGGED, AVERAGED):
        whole = posterior(x, logits, before, after, law)
        each = jax.jit(jax.vmap(posterior, in_axes=(0, 0, 0, 0, None)))
        rows = each(x, logits, before, after, law)
        np.testing.assert_allclose(whole, rows, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(jnp.exp(whole).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", LAWS)
def test_noise_is_drawn_from_the_jump(name):
    law, n = jnp.asarray(LAWS[name], jnp.float32), 40000
    x0 = jnp.tile(jnp.asarray([0, 2]), (n, 1))
    now = d.stage.linear()(jnp.asarray(0.7))
    draws = np.asarray(jax.jit(d.discrete_diffuse)(x0, now, law, jax.random.key(0)))
    truth = np.asarray(JUMP(jnp.eye(len(law))[jnp.asarray([0, 2])], now, law))
    for i in range(2):
        found = np.bincount(draws[:, i], minlength=len(law)) / n
        error = np.sqrt(truth[i] * (1 - truth[i]) / n)
        assert (np.abs(found - truth[i]) <= 4.5 * error + 1e-7).all()


def test_gumbel_draws_have_the_law_of_softmax():
    """Three categories of weights 1, 10⁻³ and 0, n large enough to see a tenth of the second."""
    n = 400000
    logits = jnp.tile(jnp.asarray([0.0, np.log(1e-3), -jnp.inf], jnp.float32), (n, 1))
    found = np.bincount(np.asarray(jax.jit(d.gumbel_max)(logits, jax.random.key(0))), minlength=3)
    p = 1e-3 / 1.001
    assert abs(found[1] / n - p) < 4.5 * np.sqrt(p / n)
    assert found[2] == 0


def test_costs_are_negative_log_probabilities(x64):
    """And NaN, not a number, for a token that no logit stands for."""
    p = some_law(LAWS["any"])
    cost = d.token_cost(jnp.tile(logits_of(p)[None] + 2.0, (5, 1)), jnp.arange(5))
    np.testing.assert_allclose(cost[:4], -np.log(p), rtol=1e-13)
    assert np.isnan(cost[4])


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="n_tokens: expected at least 2"):
        d.uniform_law(1)
    with pytest.raises(ValueError, match="n_tokens: expected at least 1"):
        d.absorbing_law(0)
    np.testing.assert_array_equal(d.absorbing_law(2), [0, 0, 1])
    np.testing.assert_array_equal(d.uniform_law(4), 0.25)
