# SPDX-License-Identifier: Apache-2.0
"""Masked diffusion of a Markov chain of four tokens, whose every conditional law is known."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d

K, L = 3, 4
STEP = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])
FIRST = np.array([0.5, 0.2, 0.3])
JOINT = np.einsum("a,ab,bc,cd->abcd", FIRST, STEP, STEP, STEP)
DATA = np.array(list(itertools.product(range(K), repeat=L)))
CONTEXTS = np.array(list(itertools.product(range(K + 1), repeat=L)))
SUBSETS = np.array(list(itertools.product([False, True], repeat=L)))
SCHEDULES = {
    "linear": d.stage.linear(),
    "cosine": d.stage.cosine(),
    "square": d.stage.polynomial(),
}
POSTERIOR, UNMASK = jax.jit(d.discrete_posterior), jax.jit(d.unmask)


def conditionals(noise=0.0):
    """log p(x_0^i | what is no mask) of every context; with noise, of no joint law any more."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(len(CONTEXTS), L, K))
    for row, context in zip(table, CONTEXTS, strict=True):
        seen = np.all((context == K) | (context == DATA), axis=1)
        for i in np.flatnonzero(context == K):
            p = [JOINT.ravel()[seen & (DATA[:, i] == k)].sum() for k in range(K)]
            row[i] = np.log(p) - np.log(np.sum(p)) + noise * rng.normal(size=K)
    return table


def numbers(tokens):
    """The row of `CONTEXTS` that a sequence is."""
    return tokens @ (K + 1) ** np.arange(L - 1, -1, -1)


def masked(x):
    """A sequence with every subset of its tokens masked."""
    return np.where(SUBSETS, K, x[..., None, :])


def costs(table):
    """`masked_cost` of every sequence under every subset of masks."""
    tokens = masked(DATA)
    x0 = np.broadcast_to(DATA[:, None], tokens.shape)
    cost = jax.jit(d.masked_cost)(*map(jnp.asarray, (table[numbers(tokens)], x0, tokens)))
    return np.asarray(cost)


def expected(cost, lost):
    """Σ over subsets of their probability, where each token is masked with probability 1 − α."""
    n = SUBSETS.sum(1)
    return cost @ (lost**n * (1 - lost) ** (L - n))


def quadrature(schedule, cost):
    """∫ weight · E cost dt by 60 points of Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    now, factor = jax.jit(lambda t: d.masked_weight(schedule, t))(jnp.asarray(0.5 + 0.5 * nodes))
    at = zip(np.asarray(now.lost), np.asarray(factor) * weights / 2, strict=True)
    return sum(w * expected(cost, lost) for lost, w in at)


def in_steps(schedule, cost, n_steps):
    """The bound of a chain of T steps, as the mean over its T times."""
    t = jnp.asarray((np.arange(n_steps) + 0.5) / n_steps)
    now, factor = jax.jit(lambda t: d.masked_weight(schedule, t, n_steps=n_steps))(t)
    at = zip(np.asarray(now.lost), np.asarray(factor) / n_steps, strict=True)
    return sum(w * expected(cost, lost) for lost, w in at)


def orders(table):
    """log p of every sequence along every order in which its tokens can be uncovered."""
    with np.errstate(invalid="ignore"):
        log_p = table - np.log(np.exp(table).sum(-1, keepdims=True))
    found = []
    for order in itertools.permutations(range(L)):
        tokens, total = np.full_like(DATA, K), 0.0
        for i in order:
            total = total + log_p[numbers(tokens), i, DATA[:, i]]
            tokens[:, i] = DATA[:, i]
        found.append(total)
    return np.array(found)


def carried(table, tokens):
    """Logits of all states, the mask's −∞, with what is seen carried over."""
    logits = d.carry_over(jnp.asarray(table), jnp.asarray(tokens))
    return jnp.pad(logits, ((0, 0), (0, 0), (0, 1)), constant_values=-jnp.inf)


def steps(schedule, n_steps):
    """(before, after) of every step back."""
    grid = [np.asarray(a) for a in schedule(d.stage.falling(n_steps))]
    at = [d.stage.Stage(*(jnp.asarray(a[i]) for a in grid)) for i in range(n_steps + 1)]
    return list(zip(at[1:], at[:-1], strict=True))


def walk(table, schedule, n_steps):
    """p(x) of the sampler in T steps, by products of its 256 × 256 transition matrices."""
    logits = carried(table, CONTEXTS)
    law = np.zeros(len(CONTEXTS))
    law[-1] = 1.0
    for before, after in steps(schedule, n_steps):
        p = POSTERIOR(jnp.asarray(CONTEXTS), logits, before, after, jnp.eye(K + 1)[K])
        # At α = 0 nothing is seen, and the contexts in which something is have no posterior.
        p = np.nan_to_num(np.exp(p))
        law = np.einsum("z,za,zb,zc,zd->abcd", law, *p.transpose(1, 0, 2)).ravel()
    return law[numbers(DATA)]


def test_with_the_true_conditionals_the_bound_is_the_log_likelihood(x64):
    """Every order gives log p(x), and so does continuous time, by every schedule, for every x."""
    table = conditionals()
    cost, truth = costs(table), np.log(JOINT.ravel())
    np.testing.assert_allclose(orders(table), np.tile(truth, (24, 1)), rtol=1e-12)
    for schedule in SCHEDULES.values():
        np.testing.assert_allclose(-quadrature(schedule, cost), truth, rtol=1e-11)


def test_the_continuous_bound_is_the_mean_over_orders_whatever_the_schedule(x64):
    """Also for a network whose conditionals are those of no law; below log p(x) of all orders."""
    table = conditionals(noise=0.7)
    each = orders(table)
    log_p = np.log(np.exp(each).mean(0))
    for schedule in SCHEDULES.values():
        bound = -quadrature(schedule, costs(table))
        np.testing.assert_allclose(bound, each.mean(0), rtol=1e-11)
        assert (bound <= log_p + 1e-12).all()
    assert (log_p - each.mean(0)).max() > 0.05
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-12)


def test_a_square_schedule_has_an_estimate_of_finite_variance(x64):
    """∫ E (weight · cost)² dt from ε on converges for α = 1 − t², grows like log 1/ε for 1 − t."""
    square = costs(conditionals()) ** 2

    def between(name, low, high):
        nodes, weights = np.polynomial.legendre.leggauss(60)
        log_t = 0.5 * np.log(high / low) * (nodes + 1) + np.log(low)
        t = jnp.asarray(np.exp(log_t))
        now, factor = d.masked_weight(SCHEDULES[name], t)
        scale = np.asarray(factor**2 * t) * weights * 0.5 * np.log(high / low)
        at = zip(np.asarray(now.lost), scale, strict=True)
        return sum(w * expected(square, lost) for lost, w in at)

    alone = square[:, SUBSETS.sum(1) == 1].sum(1)
    np.testing.assert_allclose(between("linear", 1e-9, 1e-6), alone * np.log(1e3), rtol=1e-4)
    np.testing.assert_array_less(between("square", 1e-9, 1e-6), 1e-5 * between("square", 1e-6, 1.0))


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("name", SCHEDULES)
def test_more_steps_tighten_the_bound_up_to_continuous_time(name, noise, x64):
    """On the average over data, for T = 1, 2, 4, … 64; and with as many steps it is that limit."""
    cost, mean = costs(conditionals(noise)), JOINT.ravel()
    bounds = [-mean @ in_steps(SCHEDULES[name], cost, 2**i) for i in range(7)]
    limit = -mean @ quadrature(SCHEDULES[name], cost)
    assert (np.diff([*bounds, limit]) > 0).all()
    errors = limit - np.array(bounds)
    assert 1.6 < errors[-2] / errors[-1] < 2.4
    assert bounds[-1] <= mean @ np.log(mean)


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_the_bound_in_steps_is_below_the_law_of_the_sampler(noise, x64):
    """For every x, by enumeration of the chain; the mean bound is below minus the entropy."""
    table = conditionals(noise)
    for name, n_steps in [("linear", 1), ("cosine", 3), ("square", 8)]:
        bound = -in_steps(SCHEDULES[name], costs(table), n_steps)
        p = walk(table, SCHEDULES[name], n_steps)
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
        assert (bound <= np.log(p) + 1e-12).all()
        assert JOINT.ravel() @ bound <= JOINT.ravel() @ np.log(JOINT.ravel())


def test_the_sampler_tends_to_the_data_as_steps_grow_many(x64):
    """Tokens of one step are independent of each other, an error of the order 1/T."""
    table = conditionals()
    far = [
        0.5 * np.abs(walk(table, SCHEDULES["linear"], n) - JOINT.ravel()).sum()
        for n in (1, 2, 4, 8, 16, 32, 64)
    ]
    assert (np.diff(far) < 0).all()
    assert 1.8 < far[-2] / far[-1] < 2.2
    assert far[-1] < 0.01 < 0.3 < far[0]


def test_every_term_is_that_of_the_absorbing_kernel(x64):
    """KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t)) = (α_s − α_t)/(1 − α_t) · cost, each x_t; L_T = 0."""
    table, law = conditionals(noise=0.7), jnp.eye(K + 1)[K]
    tokens = masked(DATA).reshape(-1, L)
    x0 = np.repeat(DATA, len(SUBSETS), axis=0)
    shown = carried(table[numbers(tokens)], tokens)
    cost = costs(table).ravel()
    divergence = jax.jit(d.discrete_step_divergence)
    for before, after in steps(d.stage.cosine(), 1) + steps(d.stage.cosine(), 4):
        each = divergence(jnp.asarray(tokens), jnp.asarray(x0), shown, before, after, law)
        possible = (tokens == K).all(1) | (after.lost < 1)
        expected = (d.stage.regained(before, after) * cost)[possible]
        np.testing.assert_allclose(each.sum(1)[possible], expected, rtol=1e-10, atol=1e-14)
    last = d.stage.linear()(jnp.asarray(1.0))
    assert (d.discrete_prior_divergence(jnp.asarray(DATA), last, law) == 0).all()


def test_carrying_over_shows_what_is_seen_and_never_a_mask():
    """One-hot where a token is, softmax where none is; no gradient from what is seen, no NaN."""
    tokens = jnp.asarray([[0, 3, 2, 3]])
    logits = jax.random.normal(jax.random.key(0), (1, 4, 3)).at[0, 1, 0].set(-jnp.inf)
    p = np.exp(d.carry_over(logits, tokens))
    np.testing.assert_array_equal(p[0, [0, 2]], np.eye(3)[[0, 2]])
    np.testing.assert_allclose(p[0, [1, 3]], jax.nn.softmax(logits[0, jnp.asarray([1, 3])]), 1e-6)
    x0 = jnp.asarray([[0, 1, 2, 0]])
    slope = jax.jit(jax.grad(lambda a: d.token_cost(d.carry_over(a, tokens), x0).sum()))
    gradient = np.asarray(slope(logits))
    np.testing.assert_array_equal(gradient[0, [0, 2]], 0)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0, 3]).max() > 0.01


@pytest.mark.parametrize("times", [(0.3, 0.8), (0.0, 0.2)])
def test_uncovering_has_the_law_of_the_posterior(times):
    """Masks of a step, alone and together, within 4.5 standard errors; what is seen stays."""
    n, tokens = 40000, jnp.asarray([3, 1, 3], jnp.int32)
    logits = jnp.log(jnp.asarray([[0.6, 0.3, 0.1]] * 3))
    before, after = (SCHEDULES["square"](jnp.asarray(t)) for t in times)
    draws = jnp.tile(logits, (n, 1, 1)), jnp.tile(tokens, (n, 1)), before, after
    draws = np.asarray(UNMASK(*draws, jax.random.key(3)))
    assert (draws[:, 1] == 1).all()
    shown = jnp.pad(d.carry_over(logits, tokens), ((0, 0), (0, 1)), constant_values=-jnp.inf)
    law = np.exp(POSTERIOR(tokens, shown, before, after, jnp.eye(K + 1)[K]))
    found = np.zeros((K + 1, K + 1))
    np.add.at(found, (draws[:, 0], draws[:, 2]), 1 / n)
    p = np.outer(law[0], law[2])
    assert (np.abs(found - p) <= 4.5 * np.sqrt(p * (1 - p) / n) + 1e-7).all()


def test_masks_fall_with_the_probability_that_is_lost():
    """A row at its own time, tiny ones too: 10⁻⁴ of 4 · 10⁶ tokens."""
    now = d.stage.linear()(jnp.asarray([1e-4, 0.3, 1.0]))
    x0 = jnp.ones((3, 4_000_000), jnp.int8)
    found = np.asarray(jax.jit(lambda key: d.mask_tokens(x0, now, 7, key))(jax.random.key(0)))
    assert found.dtype == np.int8
    assert set(np.unique(found)) == {1, 7}
    p = np.array([1e-4, 0.3, 1.0])
    error = np.abs((found == 7).mean(1) - p)
    assert (error <= 4.5 * np.sqrt(p * (1 - p) / x0.shape[1])).all()


def test_costs_and_weights_stay_finite_at_the_ends():
    """Gradients of the weighted cost, in single precision, at the least time that is drawn."""
    x0, t = jnp.asarray([[0, 1, 2, 2]] * 3), jnp.asarray([2.0**-24, 0.5, 1.0])

    @jax.jit
    def slopes(logits, key):
        found = []
        tokens = d.mask_tokens(x0, d.stage.linear()(t), K, key).at[0].set(K)
        for schedule in SCHEDULES.values():
            _, weight = d.masked_weight(schedule, t)
            cost = jax.grad(lambda a, w=weight: jnp.sum(w * d.masked_cost(a, x0, tokens)))
            found.append((weight, cost(logits)))
        return found

    for scale in (1.0, 300.0):
        logits = scale * jax.random.normal(jax.random.key(1), (3, 4, K))
        for weight, gradient in slopes(logits, jax.random.key(0)):
            assert jnp.isfinite(weight).all()
            assert jnp.isfinite(gradient).all()


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="n_steps: expected"):
        d.masked_weight(d.stage.linear(), jnp.asarray([0.5]), n_steps=0)
