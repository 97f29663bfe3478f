# SPDX-License-Identifier: Apache-2.0
"""Masked diffusion models of a Markov chain of three tokens, against sums over all masks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml import diffusion as d
from jaxml.models import masked_diffusion
from jaxml.training import descend

K, L = 3, 3
STEP = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])
JOINT = np.einsum("a,ab,bc->abc", [0.5, 0.2, 0.3], STEP, STEP).ravel()
DATA = np.array(list(itertools.product(range(K), repeat=L)))
CONTEXTS = np.array(list(itertools.product(range(K + 1), repeat=L)))
SUBSETS = np.array(list(itertools.product([False, True], repeat=L)))
PLACES = (K + 1) ** np.arange(L - 1, -1, -1)
SCHEDULES = {"linear": None, "cosine": d.stage.cosine(), "square": d.stage.polynomial()}


class Table(nnx.Module):
    """Logits of every context, by its number."""

    def __init__(self, logits):
        self.logits = nnx.Param(jnp.asarray(logits, jnp.float32))

    def __call__(self, tokens, t):
        assert t.shape == tokens.shape[:1]
        return self.logits[...][tokens @ jnp.asarray(PLACES)]


def conditionals(noise=0.0):
    """log p(x_0^i | what is no mask) of every context; with noise, of no joint law any more."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(len(CONTEXTS), L, K))
    for row, context in zip(table, CONTEXTS, strict=True):
        seen = np.all((context == K) | (context == DATA), axis=1)
        for i in np.flatnonzero(context == K):
            p = [JOINT[seen & (DATA[:, i] == k)].sum() for k in range(K)]
            row[i] = np.log(p) - np.log(np.sum(p)) + noise * rng.normal(size=K)
    return table


def normalized(table):
    return table - np.log(np.exp(table).sum(-1, keepdims=True))


def orders(table):
    """log p of every sequence along every order in which its tokens can be uncovered."""
    log_p, found = normalized(table), []
    for order in itertools.permutations(range(L)):
        tokens, total = np.full_like(DATA, K), 0.0
        for i in order:
            total = total + log_p[tokens @ PLACES, i, DATA[:, i]]
            tokens[:, i] = DATA[:, i]
        found.append(total)
    return np.array(found)


def bound_in_steps(table, levels):
    """−Σ_t (α_s − α_t)/(1 − α_t) E[cost] for the 1 − α of the times of a chain."""
    tokens = np.where(SUBSETS, K, DATA[:, None])
    log_p = np.take_along_axis(
        normalized(table)[tokens @ PLACES], np.repeat(DATA[:, None], 8, 1)[..., None], -1
    )[..., 0]
    cost, n = -(log_p * SUBSETS).sum(-1), SUBSETS.sum(1)
    return -sum(
        (now - then) / now * cost @ (now**n * (1 - now) ** (L - n))
        for then, now in itertools.pairwise(levels)
    )


def walk(table, levels, start=None):
    """p(x) of the sampler by products of transition matrices, from masks or from `start`."""
    p0 = np.exp(normalized(table))
    law = np.zeros(len(CONTEXTS))
    law[-1 if start is None else start @ PLACES] = 1.0
    for then, now in list(itertools.pairwise(levels))[::-1]:
        each = np.zeros((len(CONTEXTS), L, K + 1))
        for row, p, context in zip(each, p0, CONTEXTS, strict=True):
            for i, token in enumerate(context):
                row[i] = np.eye(K + 1)[token]
                if token == K:
                    row[i] = np.append(p[i] * (now - then) / now, then / now)
        law = np.einsum("z,za,zb,zc->abc", law, *each.transpose(1, 0, 2)).ravel()
    return law[DATA @ PLACES]


def model_of(table, name="linear"):
    return masked_diffusion.MaskedDiffusion(Table(table), K, L, schedule=SCHEDULES[name])


def lost(name, t):
    """1 − α of a schedule, of equal times if t is a number of steps."""
    t = np.arange(t + 1) / t if isinstance(t, int) else t
    return {"linear": t, "cosine": np.sin(np.pi / 2 * t), "square": t**2}[name]


@pytest.mark.parametrize("name", ["linear", "square"])
def test_the_loss_is_unbiased_and_the_same_for_schedules(name):
    """Over many keys, within 4.5 standard errors of the mean over all orders: in nats a token."""
    table, n = conditionals(noise=0.7), 10000
    model, truth = model_of(table, name), orders(table).mean() / L
    keys = jax.random.split(jax.random.key(0), n)
    each = jax.vmap(lambda key: masked_diffusion.loss(model, jnp.asarray(DATA), key))
    values, metrics = jax.jit(each)(keys)
    values = np.asarray(values, "f8")
    error = values.std() / np.sqrt(n)
    assert abs(values.mean() + truth) < 4.5 * error < 0.03 * abs(truth)
    np.testing.assert_allclose(metrics["elbo"], -L * values, rtol=1e-5)
    np.testing.assert_allclose(metrics["bits_per_token"], values / np.log(2), rtol=1e-5)


@pytest.mark.parametrize("n_steps", [None, 4])
def test_the_elbo_of_every_example_is_unbiased(n_steps):
    """Within 4.5 standard errors of the mean over all orders; of a chain, the sum over its steps.

    That sum is below log p(x) of the sampler in so many steps, for every x.
    """
    table, n, levels = conditionals(noise=0.7), 3000, lost("cosine", 4)
    truth = orders(table).mean(0) if n_steps is None else bound_in_steps(table, levels)
    assert (bound_in_steps(table, levels) < np.log(walk(table, levels))).all()
    model, x = model_of(table, "cosine"), jnp.asarray(DATA)
    each = jax.vmap(lambda k: masked_diffusion.elbo(model, x, k, n_times=4, n_steps=n_steps))
    bounds = np.asarray(jax.jit(each)(jax.random.split(jax.random.key(1), n)), "f8")
    error = bounds.std(0) / np.sqrt(n)
    assert (np.abs(bounds.mean(0) - truth) < 4.5 * error).all()


def test_with_the_true_conditionals_the_bound_is_the_entropy():
    """−E_data of it is H of the chain, within 4.5 standard errors of a hundredth of a nat."""
    model, n = model_of(conditionals(), "square"), 40000
    x = jax.random.choice(jax.random.key(0), jnp.asarray(DATA), (n,), p=jnp.asarray(JOINT, "f4"))
    bound = jax.jit(lambda key: masked_diffusion.elbo(model, x, key, n_times=8))(jax.random.key(1))
    bound = np.asarray(bound, "f8")
    error = bound.std() / np.sqrt(n)
    assert error < 0.01
    assert abs(bound.mean() - JOINT @ np.log(JOINT)) < 4.5 * error


@pytest.mark.parametrize(
    ("name", "n_steps", "times"),
    [
        ("linear", 1, d.stage.falling),
        ("cosine", 3, d.stage.falling),
        ("square", 3, lambda n: jnp.sqrt(d.stage.falling(n))),
    ],
)
def test_draws_have_the_law_of_the_chain(name, n_steps, times):
    """All 27 sequences within 4.5 standard errors, and no mask is left."""
    model, n = model_of(conditionals(noise=0.7), name), 40000
    options = {"n_steps": n_steps, "times": times}
    draw = jax.jit(lambda key: masked_diffusion.sample(model, key, n, **options))
    draws = np.asarray(draw(jax.random.key(3)))
    assert draws.shape == (n, L)
    assert draws.max() < K
    found = np.bincount(draws @ K ** np.arange(L - 1, -1, -1), minlength=K**L) / n
    levels = lost(name, np.asarray(times(n_steps))[::-1].astype("f8"))
    p = walk(conditionals(noise=0.7), levels)
    assert (np.abs(found - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()


def test_infilling_keeps_what_is_known_and_tends_to_the_conditional_law():
    """p(x_1, x_3 | x_2 = 1) by enumeration, for 64 steps within 0.01, which draws confirm."""
    table, n, start = conditionals(), 40000, np.array([K, 1, K])
    target = np.where(DATA[:, 1] == 1, JOINT, 0) / JOINT[DATA[:, 1] == 1].sum()
    p = walk(table, lost("linear", 64), start)
    assert 0.5 * np.abs(p - target).sum() < 0.01
    known = jnp.tile(jnp.asarray(start), (n, 1))
    draw = jax.jit(lambda key: masked_diffusion.sample(model_of(table), key, n, known=known))
    draws = np.asarray(draw(jax.random.key(4)))
    assert (draws[:, 1] == 1).all()
    found = np.bincount(draws @ K ** np.arange(L - 1, -1, -1), minlength=K**L) / n
    assert (np.abs(found - p) <= 4.5 * np.sqrt(p * (1 - p) / n)).all()


def test_training_finds_the_conditionals():
    """From equal logits: −log p of the trained table within 0.02 nats of the entropy, on average.

    Its mean over orders, without an estimate.
    """
    rule = descend(masked_diffusion.loss, optax.adam(optax.cosine_decay_schedule(0.2, 400)))
    model = model_of(np.zeros((len(CONTEXTS), L, K)), "square")
    graph, state = nnx.split(model)
    memory = rule.init(model, jax.random.key(0))

    @jax.jit
    def run(state, memory):
        def step(carry, i):
            data_key, key = jax.random.split(jax.random.fold_in(jax.random.key(1), i))
            x = jax.random.choice(data_key, jnp.asarray(DATA), (256,), p=jnp.asarray(JOINT, "f4"))
            model, memory, _ = rule.update(nnx.merge(graph, carry[0]), carry[1], x, key)
            return (nnx.state(model), memory), None

        return jax.lax.scan(step, (state, memory), jnp.arange(400))[0][0]

    (table,) = (np.asarray(leaf, "f8") for leaf in jax.tree.leaves(run(state, memory)))
    entropy = -JOINT @ np.log(JOINT)
    assert entropy <= -JOINT @ orders(table).mean(0) < entropy + 0.02
