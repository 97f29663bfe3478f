# SPDX-License-Identifier: Apache-2.0
"""Discrete flows of two tokens whose joint law is known: every velocity and every step exactly."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d

K, L = 3, 2
SOURCES = {
    "uniform": np.full(3, 1 / 3),
    "mask": np.array([0.0, 0.0, 0.0, 1.0]),
    "any": np.array([0.6, 0.3, 0.1]),
}
DATA = np.random.default_rng(0).dirichlet(np.full(K**L, 0.4)).reshape(K, K)
STEP = jax.jit(d.flow_step)


def stage(kappa):
    return d.stage.Stage(*map(jnp.asarray, (1 - kappa, kappa, 1 - kappa)))


def data(law):
    """The joint law of both tokens over all states."""
    whole = np.zeros((len(law),) * L)
    whole[:K, :K] = DATA
    return whole


def states(law):
    return np.array(list(itertools.product(range(len(law)), repeat=L)))


def path(law, kappa):
    """q(x_t | x_1) of a position, entry [x_1, x_t]."""
    return kappa * np.eye(len(law)) + (1 - kappa) * law[None]


def marginal(law, kappa):
    """p_t of both tokens."""
    one = path(law, kappa)
    return np.einsum("ab,ax,by->xy", data(law), one, one).ravel()


def slope(law, kappa):
    """dp_t/dκ, by the rule of products."""
    one, change = path(law, kappa), np.eye(len(law)) - law[None]
    whole = data(law)
    first = np.einsum("ab,ax,by->xy", whole, change, one)
    return (first + np.einsum("ab,ax,by->xy", whole, one, change)).ravel()


def guess(law, kappa):
    """p(x_1^i | x_t) of both positions for every x_t; of states that are never seen, anything."""
    found = []
    for x, y in states(law):
        joint = data(law) * path(law, kappa)[:, x][:, None] * path(law, kappa)[:, y][None]
        joint = joint / joint.sum() if joint.sum() > 0 else np.full_like(joint, 1 / joint.size)
        found.append([joint.sum(1), joint.sum(0)])
    return jnp.asarray(np.array(found))


def generator(velocity, law):
    """The matrix of the jump process in which one position at a time jumps, rows by x_t."""
    n, eye = len(law), np.eye(len(law))
    found = np.zeros((n * n, n * n))
    for row, (x, y), u in zip(found, states(law), np.asarray(velocity), strict=True):
        row += np.outer(u[0], eye[y]).ravel() + np.outer(eye[x], u[1]).ravel()
    return found


def sampled(law, n_steps, eta, schedule=None):
    """The law of x_1 after n steps with the true p_{1|t}, by products of transition matrices."""
    kappas = np.asarray((schedule or d.stage.linear())(d.stage.falling(n_steps)).alpha)
    p = np.kron(law, law)
    for before, after in itertools.pairwise(kappas):
        given = jnp.asarray(states(law)), stage(before), stage(after), jnp.asarray(law)
        step = np.asarray(STEP(guess(law, before), *given, eta=jnp.asarray(eta)))
        p = np.einsum("z,zx,zy->xy", p, step[:, 0], step[:, 1]).ravel()
    return p


@pytest.mark.parametrize("name", SOURCES)
def test_velocities_lead_along_the_path_and_back(name, x64):
    """p_t u = dp_t/dκ to data and −dp_t/dκ to noise, for every state at several κ."""
    law = SOURCES[name]
    x = jnp.asarray(states(law))
    for kappa in (0.05, 0.4, 0.9):
        p1, now = guess(law, kappa), stage(kappa)
        to_data = d.velocity_to_data(p1, x, jnp.asarray(1 / (1 - kappa)))
        to_noise = d.velocity_to_noise(p1, x, now, jnp.asarray(1 / kappa), jnp.asarray(law))
        for sign, velocity in [(1, to_data), (-1, to_noise)]:
            rates = generator(velocity, law)
            np.testing.assert_allclose(rates.sum(1), 0, atol=1e-12)
            assert (rates - np.diag(np.diag(rates)) >= 0).all()
            found = marginal(law, kappa) @ rates
            np.testing.assert_allclose(found, sign * slope(law, kappa), atol=1e-12)


@pytest.mark.parametrize("name", SOURCES)
def test_what_the_noise_was_is_bayes(name, x64):
    """p(x_0^i | x_t) by enumeration of all x_0 and x_1."""
    law = SOURCES[name]
    for kappa in (0.0, 0.3, 1.0):
        found = np.asarray(
            d.source_posterior(
                guess(law, kappa), jnp.asarray(states(law)), stage(kappa), jnp.asarray(law)
            )
        )
        for row, (x, y) in zip(found, states(law), strict=True):
            # Of a position, entry [x_0, x_1]: its source, its data, and what is seen of both.
            eye = np.eye(len(law))
            seen = [
                law[:, None] * ((1 - kappa) * eye[v][:, None] + kappa * eye[v][None])
                for v in (x, y)
            ]
            joint = np.einsum("ab,ia,jb->ij", data(law), *seen)
            if joint.sum() > 0:
                np.testing.assert_allclose(row[0], joint.sum(1) / joint.sum(), atol=1e-12)
                np.testing.assert_allclose(row[1], joint.sum(0) / joint.sum(), atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 1.5])
@pytest.mark.parametrize("name", SOURCES)
def test_a_short_step_is_the_velocity(name, eta, x64):
    """(law of a step − δ)/Δκ → (1 + β) u + β u of noise, β = η κ (1 − κ), with an error of Δκ."""
    law, kappa = SOURCES[name], 0.4
    x, p1, now = jnp.asarray(states(law)), guess(law, kappa), stage(kappa)
    beta = eta * kappa * (1 - kappa)
    truth = (1 + beta) * d.velocity_to_data(p1, x, jnp.asarray(1 / (1 - kappa)))
    truth += beta * d.velocity_to_noise(p1, x, now, jnp.asarray(1 / kappa), jnp.asarray(law))
    for change in (1e-3, 1e-5):
        step = STEP(p1, x, now, stage(kappa + change), jnp.asarray(law), eta=jnp.asarray(eta))
        np.testing.assert_allclose((step - jnp.eye(len(law))[x]) / change, truth, atol=10 * change)


@pytest.mark.parametrize("schedule", [d.stage.linear(), d.stage.cosine(), d.stage.polynomial()])
def test_from_masks_a_step_is_that_of_masked_diffusion(schedule, x64):
    """Without noise, for every schedule, state and pair of times, the last one data too."""
    law = SOURCES["mask"]
    x, p1 = jnp.asarray(states(law)), guess(law, 0.5)
    posterior = jax.jit(d.discrete_posterior)
    for before, after in [(0.2, 0.9), (0.0, 0.5), (0.6, 0.61)]:
        now, then = (schedule(jnp.asarray(t)) for t in (after, before))
        truth = posterior(x, jnp.log(p1), then, now, jnp.asarray(law))
        found = STEP(p1, x, now, then, jnp.asarray(law), eta=jnp.asarray(0.0))
        np.testing.assert_allclose(found, jnp.exp(truth), atol=1e-13)


@pytest.mark.parametrize("eta", [0.0, 2.0])
@pytest.mark.parametrize("name", SOURCES)
def test_the_sampler_tends_to_the_data_as_steps_grow_many(name, eta, x64):
    """Total variation of the law of x_1 falls like 1/n, by enumeration; no mask is left."""
    law = SOURCES[name]
    found = [sampled(law, n, eta) for n in (4, 16, 64, 128)]
    for p in found:
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
    far = [0.5 * np.abs(p - data(law).ravel()).sum() for p in found]
    assert (np.diff(far) < 0).all()
    assert 1.8 < far[-2] / far[-1] < 2.2
    assert far[-1] < 0.01


def test_by_the_clock_of_kappa_schedules_differ_in_their_grids_alone(x64):
    """The squared schedule on the square roots of equal times is the linear one."""
    law = SOURCES["uniform"]
    line = sampled(law, 8, 0.5)
    roots = sampled(law, 8, 0.5, lambda t: d.stage.polynomial()(jnp.sqrt(t)))
    np.testing.assert_allclose(roots, line, rtol=1e-10)


@pytest.mark.parametrize("name", SOURCES)
def test_no_step_is_too_long(name):
    """A law in single precision: nothing below 0, in all 1, whatever the times and the noise."""
    law = jnp.asarray(SOURCES[name], jnp.float32)
    x = jnp.asarray(states(law))
    p1 = jax.nn.softmax(30 * jax.random.normal(jax.random.key(0), (len(x), L, len(law))))
    for before, after in [(0.0, 1.0), (0.0, 0.1), (0.9, 1.0), (0.5, 0.5 + 2.0**-20)]:
        for eta in (0.0, 1.0, 100.0):
            step = STEP(p1, x, stage(before), stage(after), law, eta=jnp.asarray(eta))
            assert (step >= 0).all()
            np.testing.assert_allclose(step.sum(-1), 1, rtol=1e-6)
            if after == 1:
                np.testing.assert_allclose(step, p1, atol=1e-6)


def test_the_cost_is_least_at_the_truth(x64):
    """Its expectation over x_1 has slope 0 in the logits of p_{1|t}, and the entropy as value."""
    law = SOURCES["uniform"]
    p1 = guess(law, 0.3)[4]
    pairs, weight = jnp.asarray(states(law)), data(law) * path(law, 0.3)[:, 1][:, None]
    weight = jnp.asarray((weight * path(law, 0.3)[:, 1][None]).ravel())

    def mean(logits):
        cost = d.flow_cost(jnp.tile(logits, (len(pairs), 1, 1)), pairs)
        return jnp.sum(weight * cost) / jnp.sum(weight)

    value, gradient = jax.value_and_grad(mean)(jnp.log(p1) + 1.0)
    np.testing.assert_allclose(gradient, 0, atol=1e-14)
    np.testing.assert_allclose(value, -jnp.sum(p1 * jnp.log(p1)), rtol=1e-12)


def test_at_masks_alone_the_cost_is_that_of_masked_diffusion():
    x1, tokens = jnp.asarray([[0, 1, 2], [2, 2, 0]]), jnp.asarray([[3, 1, 3], [2, 2, 0]])
    logits = jax.random.normal(jax.random.key(0), (2, 3, 3))
    found = d.flow_cost(logits, x1, where=tokens == 3)
    np.testing.assert_allclose(found, d.masked_cost(logits, x1, tokens), rtol=1e-6)
    assert found[1] == 0
    assert (d.flow_cost(logits, x1) > found).all()


@pytest.mark.parametrize("name", ["uniform", "mask"])
def test_draws_have_the_law_of_the_steps(name):
    """From the source by three steps with noise, each state within 4.5 standard errors."""
    law, n, eta = SOURCES[name], 40000, 0.8
    with jax.enable_x64(True):
        truth = sampled(law, 3, eta)
        tables = np.array([guess(law, k) for k in (0, 1 / 3, 2 / 3)], "f4")
    grid, pi = d.stage.linear()(d.stage.falling(3)), jnp.asarray(law, jnp.float32)

    def predict(x, now):
        table = jnp.asarray(tables)[jnp.round(3 * now.alpha).astype(int)]
        return jnp.log(table[x[:, 0] * len(law) + x[:, 1]])

    run = jax.jit(lambda x, key: d.flow_sample(predict, grid, x, pi, key, eta=eta))
    x = jax.random.choice(jax.random.key(1), len(law), (n, L), p=pi)
    draws = np.asarray(run(x, jax.random.key(2)))
    found = np.bincount(draws[:, 0] * len(law) + draws[:, 1], minlength=len(law) ** 2) / n
    assert (np.abs(found - truth) <= 4.5 * np.sqrt(truth * (1 - truth) / n) + 1e-7).all()


def test_temperature_divides_the_logits():
    grid, pi = d.stage.linear()(d.stage.falling(3)), d.uniform_law(3)
    logits = jax.random.normal(jax.random.key(0), (500, L, 3))

    @jax.jit
    def draw(factor, temperature):
        x, key = jnp.zeros((500, L), jnp.int32), jax.random.key(1)
        return d.flow_sample(
            lambda x, now: factor * logits, grid, x, pi, key, eta=1.0, temperature=temperature
        )

    one, half = jnp.asarray(1.0), jnp.asarray(0.5)
    np.testing.assert_array_equal(draw(one, half), draw(1 / half, one))
    assert (draw(one, half) != draw(one, one)).any()


def test_mixtures_show_data_with_probability_kappa():
    n = 40000
    draws = d.mix_tokens(
        jnp.zeros((2, n), int),
        jnp.ones((2, n), int),
        stage(jnp.asarray([0.2, 1.0])),
        jax.random.key(0),
    )
    share = np.asarray(draws == 0).mean(1)
    assert abs(share[0] - 0.2) < 4.5 * np.sqrt(0.16 / n)
    assert share[1] == 1


def test_bad_options_are_refused():
    grid, law = d.stage.linear()(d.stage.falling(2)), d.uniform_law(3)
    given = (lambda x, now: jnp.zeros((1, 2, 3))), grid, jnp.zeros((1, 2), int), law
    with pytest.raises(ValueError, match="eta: expected"):
        d.flow_sample(*given, jax.random.key(0), eta=-1.0)
    with pytest.raises(ValueError, match="temperature: expected"):
        d.flow_sample(*given, jax.random.key(0), temperature=0.0)
