# SPDX-License-Identifier: Apache-2.0
"""The rule with chains: which of them walk, what is put back, and a resume with the same."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.models import energy
from jaxml.models.energy import rbm, rbm_partition
from jaxml.optimizers import adam, schedule
from jaxml.training import descend
from jaxml.types import Rule
from tests.models.energy.case import examples, model

SIZE, N = 50, 12


def recorded(batch_of):
    """A rule that learns nothing and remembers its batch."""
    return Rule(lambda model, key: batch_of, lambda model, state, batch, key: (model, batch, {}))


def test_chains_are_taken_walked_and_put_back():
    """As many as there are data, each once; the walk adds 100 to a chain that is its own number."""
    numbers = jnp.arange(SIZE, dtype=float)[:, None]
    rule = energy.rule(
        recorded(None), lambda model, x, key: x + 100, lambda key, n: numbers[:n], size=SIZE,
        reinit=0.0,
    )  # fmt: skip
    state = rule.init(None, jax.random.key(0))
    np.testing.assert_array_equal(state["chains"], numbers)
    x = jnp.zeros((N, 1))
    _, after, metrics = rule.update(None, state, {"x": x, "y": x + 1}, jax.random.key(1))
    gone = np.flatnonzero(np.asarray(after["chains"] != state["chains"]))
    assert len(gone) == N
    np.testing.assert_array_equal(after["chains"][gone], numbers[gone] + 100)
    np.testing.assert_array_equal(np.sort(after["learn"]["fake"][:, 0]), gone + 100)
    np.testing.assert_array_equal(after["learn"]["y"], x + 1)
    assert metrics["moved"] == 100
    other = rule.update(None, after, x, jax.random.key(2))[1]
    assert (np.asarray(other["chains"] != after["chains"]).sum()) == N
    assert set(np.flatnonzero(np.asarray(other["chains"] != after["chains"]))) != set(gone)


def test_the_wanted_share_begins_anew():
    """Of 40,000 chains 5 %, whole ones; all of them at a share of 1, none at 0."""
    n = 40_000
    for share in (0.0, 0.05, 1.0):
        rule = energy.rule(
            recorded(None), lambda model, x, key: x, lambda key, n: jnp.ones((n, 2)), size=n,
            reinit=share,
        )  # fmt: skip
        state = {"learn": None, "chains": jnp.zeros((n, 2))}
        fake = rule.update(None, state, jnp.zeros((n, 2)), jax.random.key(0))[1]["learn"]["fake"]
        np.testing.assert_array_equal(fake[:, 0], fake[:, 1])
        error = np.sqrt(share * (1 - share) / n)
        assert abs(float(fake.mean()) - share) <= 4.5 * error


def test_a_resume_goes_on_with_the_same_chains():
    """Ten steps at once and five after five are bit for bit the same; another seed is not."""
    learn = descend(energy.contrastive_loss, adam(0.01))
    fresh = lambda key, n: jax.random.uniform(key, (n, 2), minval=-1.0)  # noqa: E731
    rule = energy.rule(learn, partial(energy.langevin, n_steps=3), fresh, size=SIZE)
    x = examples(N)

    @partial(jax.jit, static_argnums=3)
    def run(net, state, key, n, first):
        def step(carry, i):
            net, state, _ = rule.update(*carry, x, jax.random.fold_in(key, i))
            return (net, state), None

        return jax.lax.scan(step, (net, state), first + jnp.arange(n))[0]

    def begin():
        return model(), rule.init(model(), jax.random.key(0))

    key = jax.random.key(5)
    whole = run(*begin(), key, 10, 0)
    half = run(*begin(), jax.random.clone(key), 5, 0)
    both = run(*half, jax.random.clone(key), 5, 5)
    jax.tree.map(np.testing.assert_array_equal, whole, both)
    other = run(*begin(), jax.random.key(6), 10, 0)
    assert (whole[1]["chains"] != other[1]["chains"]).any()


def test_a_machine_learns_a_law_of_bits_from_its_chains():
    """Three bits that depend on each other: KL(data ‖ model) falls below 0.02 nats."""
    patterns = np.array([[0.0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1], [1, 0, 0]])
    counts = np.array([120, 100, 60, 60, 40, 20])
    entropy = -np.sum(counts / 400 * np.log(counts / 400))
    x = jnp.asarray(np.repeat(patterns, counts, axis=0), jnp.float32)
    net = rbm.RBM(3, 6, scale=0.1, rngs=nnx.Rngs(0))
    loss = partial(energy.contrastive_loss, alpha=0.0, energy=rbm.free_energy)
    fresh = lambda key, n: jax.random.bernoulli(key, 0.5, (n, 3)).astype(float)  # noqa: E731
    rule = energy.rule(
        descend(loss, adam(schedule.cosine(0.1, 600))),
        partial(rbm.walk, n_steps=10),
        fresh,
        size=400,
        reinit=0.0,
    )

    @jax.jit
    def run(net, key):
        def step(carry, i):
            net, state, _ = rule.update(*carry, x, jax.random.fold_in(key, i))
            return (net, state), None

        state = rule.init(net, jax.random.fold_in(key, 10_000))
        (net, _), _ = jax.lax.scan(step, (net, state), jnp.arange(600))
        return [-rbm_partition.log_prob(m, x).mean() - entropy for m in (before, net)]

    before = net
    first, last = run(net, jax.random.key(0))
    assert first > 0.2
    assert 0 < last < 0.02


def test_bad_sizes_are_refused():
    walk, fresh = lambda model, x, key: x, lambda key, n: jnp.zeros((n, 1))
    for size, share in ((0, 0.1), (4, 1.1)):
        with pytest.raises(ValueError, match="size, reinit"):
            energy.rule(recorded(None), walk, fresh, size=size, reinit=share)
    rule = energy.rule(recorded(None), walk, fresh, size=4)
    state = rule.init(None, jax.random.key(0))
    with pytest.raises(ValueError, match="size: expected at least"):
        rule.update(None, state, jnp.zeros((5, 1)), jax.random.key(1))
