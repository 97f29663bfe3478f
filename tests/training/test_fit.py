# SPDX-License-Identifier: Apache-2.0
"""Laws of the training loop: exact, resumable anywhere, compiled once."""

import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml.training import NonFiniteError, average, chain, descend, ensemble, every, fit, guard
from jaxml.types import Batches, Rule

STEPS = 23


def key():
    """A fresh handle on the same key: the reuse checker follows handles, not bits."""
    return jax.random.key(11)


def make():
    return nnx.Linear(4, 1, rngs=nnx.Rngs(0))


def loss(model, batch, key):
    keep = jax.random.bernoulli(key, 0.9, batch.shape).astype(batch.dtype)
    value = jnp.mean((model(batch * keep)[:, 0] - jnp.sin(batch.sum(-1))) ** 2)
    return value, {"mean": batch.mean()}


RULE = guard(chain(learn=descend(loss, optax.adam(1e-2)), average=average(0.9)))
update = jax.jit(RULE.update)


def take(data, step, offset):
    """One function for all tests, so that the loop is compiled once for most of them."""
    del offset
    rows, poison_at = data
    batch = jax.lax.dynamic_slice_in_dim(rows, (step * 8) % 64, 8)
    return jnp.where(step == poison_at, jnp.full_like(batch, jnp.nan), batch)


def batches(poison_at=-1):
    """Batch i is a pure function of i; one of them may be poisoned."""
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(64, 4)), jnp.float32)
    data = rows, jnp.int32(poison_at)
    return Batches(lambda first, n, capacity: data, take, {})


take_one = jax.jit(take)


def streamed():
    """The same batches, stacked chunk by chunk on the host."""
    source = batches()

    def feed(first, n, capacity):
        data = source.feed(0, 0, 0)
        rows = np.zeros((capacity, 8, 4), np.float32)
        for i in range(n):
            rows[i] = take_one(data, jnp.int32(first + i), None)
        return jnp.asarray(rows)

    return Batches(feed, lambda data, step, offset: data[offset], {})


def run(source=None, **options):
    """The last model and state, and the losses of every step."""
    rows = []
    options = {"steps": STEPS, "chunk": 7} | options
    for _, model, state, metrics in fit(RULE, make(), source or batches(), key(), **options):
        rows.append(metrics["learn/loss"])
        kept = jax.tree.map(np.array, (model, state))
    return kept, np.concatenate(rows)


def assert_bitwise(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_loop_is_the_loop_one_would_write():
    """fit = for i: update(model, state, batch(i), fold_in(key, i)), up to fusion."""
    model, source = make(), batches()
    state = RULE.init(model, key())
    data, expected = source.feed(0, 0, 0), []
    for i in range(STEPS):
        batch = take_one(data, jnp.int32(i), None)
        model, state, metrics = update(model, state, batch, jax.random.fold_in(key(), i))
        expected.append(metrics["learn/loss"])
    (found, _), losses = run()
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, model)


@pytest.mark.parametrize(
    "options", [{"chunk": 1}, {"chunk": 23}, {"chunk": (4, 7)}, {"chunk": 100}, {"seconds": 1e-9}]
)
def test_the_cut_into_chunks_does_not_change_a_bit(options):
    """One executable serves every chunk length, so the boundaries leave no trace."""
    assert_bitwise(run(), run(**options))


def test_a_huge_chunk_takes_no_memory(monkeypatch):
    """With `seconds` a call is short: no rows for steps that it will never do, in the same bits."""
    fed, source = [], batches()

    def feed(first, n, capacity):
        fed.append((n, capacity))
        return source.feed(first, n, capacity)

    watched = Batches(feed, source.take, {})
    assert_bitwise(run(), run(watched, chunk=10**12, seconds=1e9))
    assert {capacity for _, capacity in fed} == {1000}
    assert [n for n, _ in fed] == [1, 2, 4, 8, 8]
    monkeypatch.setattr(sys.modules["jaxml.training.fit"], "CAPACITY", 3)
    fed.clear()
    assert_bitwise(run(), run(watched, chunk=7, seconds=1e9))
    assert fed == [(n, 3) for n in (1, 2, 3, 1, 3, 3, 1, 3, 3, 1, 2)]


def test_streamed_batches_give_the_same_run():
    """Data gathered on the device and data fed by the host meet in the same steps."""
    (model, _), losses = run()
    (other, _), others = run(streamed())
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), model, other)


@pytest.mark.parametrize("k", [0, 1, 7, 8, STEPS - 1, STEPS])
def test_a_resumed_run_is_the_uninterrupted_run(k):
    """Stop after k steps, start again from host copies: every bit is the same."""
    whole, losses = run()
    model, state, before = make(), None, np.zeros(0, np.float32)
    if k:
        (model, state), before = run(steps=k)
    if k == STEPS:
        assert list(fit(RULE, model, batches(), key(), steps=k, state=state, first=k)) == []
        assert_bitwise((model, state), whole)
        return
    rows = [before]
    for _, new, after, metrics in fit(
        RULE, model, batches(), key(), steps=STEPS, state=state, first=k, chunk=5
    ):
        rows.append(metrics["learn/loss"])
        resumed = jax.tree.map(np.array, (new, after))
    assert_bitwise(resumed, whole)
    np.testing.assert_array_equal(np.concatenate(rows), losses)


@pytest.mark.parametrize(
    ("chunk", "expected"), [(5, [5, 10, 15, 20, 23]), ((5, 8), [5, 8, 10, 15, 16, 20, 23])]
)
def test_yields_stand_at_absolute_multiples_of_the_chunk(chunk, expected):
    """A run that starts in the middle of a chunk meets the same boundaries; of two, both kinds."""
    state = RULE.init(make(), key())
    options = {"steps": STEPS, "state": state, "first": 3, "chunk": chunk}
    steps = fit(RULE, make(), batches(), key(), **options)
    assert [(step, len(metrics["skipped"])) for step, *_, metrics in steps] == list(
        zip(expected, np.diff([3, *expected]), strict=True)
    )


def test_the_rule_is_traced_once():
    """Compile once: no chunk, however long, traces the rule again."""
    counted = chex.assert_max_traces(RULE.update, n=1)
    rule = Rule(RULE.init, counted)
    for _ in fit(rule, make(), batches(), key(), steps=STEPS, chunk=7, seconds=1e-3):
        pass


def test_the_model_passed_in_survives():
    """Donation never touches what the caller owns."""
    model = make()
    before = jax.tree.map(np.array, model)
    for _ in fit(RULE, model, batches(), key(), steps=STEPS):
        pass
    assert_bitwise(before, model)


def test_a_bad_step_is_named_and_can_be_replayed():
    """Poison in batch 17: the good steps are yielded, the error carries the state before.

    All of it, the average and the counts too, is bitwise what 17 steps without poison give.
    """
    rows = []

    def train():
        for step, _, _, metrics in fit(RULE, make(), batches(17), key(), steps=STEPS, chunk=7):
            rows.append((step, metrics["learn/loss"]))

    with pytest.raises(NonFiniteError, match=r"step 18: learn/loss = nan; .*model/") as caught:
        train()
    assert (rows[-1][0], caught.value.step) == (17, 18)
    np.testing.assert_array_equal(np.concatenate([row for _, row in rows]), run(steps=17)[1])
    error = caught.value
    assert_bitwise((error.model, error.state), run(steps=17)[0])
    source = batches(17)
    batch = take_one(source.feed(0, 0, 0), jnp.int32(17), None)
    replay_key = jax.random.fold_in(key(), 17)
    model, state, metrics = update(error.model, error.state, batch, replay_key)
    assert np.isnan(metrics["learn/loss"])
    assert (int(metrics["skipped"]), int(metrics["stopped"])) == (1, 1)
    assert_bitwise((model, state), (error.model, error.state))


SGD = descend(loss, optax.sgd(0.1))
GUARDED = {
    "in a part": (chain(a=chain(learn=guard(SGD)), mean=average(0.9)), "a/learn/loss"),
    "twice": (guard(chain(rare=every(SGD, 2), learn=every(guard(SGD), 3))), "learn/loss"),
    "over an idle part": (guard(chain(rare=every(SGD, 2), learn=SGD)), "learn/loss"),
}


@pytest.mark.parametrize(("rule", "name"), GUARDED.values(), ids=GUARDED)
def test_wherever_the_guard_stands_the_loss_and_the_leaf_are_named(rule, name):
    """The loss that is NaN is told, never one of a rule that was idle; idleness stops nothing."""
    model = nnx.Sequential(nnx.Linear(4, 1, rngs=nnx.Rngs(0)))
    leaf = "model/layers/0/bias/value"
    with pytest.raises(NonFiniteError) as caught:
        list(fit(rule, model, batches(3), key(), steps=STEPS))
    assert str(caught.value) == f"step 4: {name} = nan; first non-finite leaf: {leaf}"


ELBO = {"elbo": 1.0, "loss": 2.0}
BROKEN = {  # what the update makes of the batch's sum: the state, the metrics; what is told
    "a metric": (lambda s: (1.0, {**ELBO, "elbo": s}), "elbo = nan; ", "none: a metric alone"),
    "the state": (lambda s: (s, ELBO), "loss = 2.0; ", "state/memory"),
    "the state of a silent rule": (lambda s: (s, {}), "", "state/memory"),
}


@pytest.mark.parametrize(("broken", "told", "leaf"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_finite_is_told_before_a_finite_loss(broken, told, leaf):
    """A bad metric is named itself; where all are sound the loss is shown as it is."""

    def update(model, state, batch, key):
        memory, metrics = jax.tree.map(jnp.asarray, broken(batch.sum()))
        return model, {"memory": memory}, metrics

    rule = guard(Rule(lambda model, key: {"memory": jnp.zeros(())}, update))
    with pytest.raises(NonFiniteError) as caught:
        list(fit(rule, jnp.zeros(()), batches(3), key(), steps=STEPS))
    assert str(caught.value) == f"step 4: {told}first non-finite leaf: {leaf}"


def test_an_ensemble_reports_a_row_a_member():
    """Metrics keep their shape: (steps, members)."""
    every_model = jax.jit(jax.vmap(lambda k: nnx.Linear(4, 1, rngs=nnx.Rngs(k))))
    models = every_model(jax.random.split(key(), 3))
    rule = ensemble(descend(loss, optax.sgd(0.1)), 3)
    for _, _, _, metrics in fit(rule, models, batches(), key(), steps=6, chunk=6):
        assert metrics["loss"].shape == metrics["grad_norm"].shape == (6, 3)


def test_a_rule_that_changes_the_structure_is_refused():
    """The error shows both structures instead of failing inside XLA."""
    rule = Rule(lambda model, key: {}, lambda m, s, b, k: (m, {"new": jnp.zeros(())}, {}))
    with pytest.raises(TypeError, match="keep the structure"):
        next(fit(rule, make(), batches(), key(), steps=1))


def test_bad_numbers_are_named():
    """Each argument is checked where it is given."""
    for chunk in (0, (), (3, 0)):
        with pytest.raises(ValueError, match="chunk must be at least 1"):
            next(fit(RULE, make(), batches(), key(), steps=1, chunk=chunk))
    with pytest.raises(ValueError, match="first=5, steps=3"):
        next(fit(RULE, make(), batches(), key(), steps=3, first=5))


def test_a_weakly_typed_leaf_is_trained_as_it_would_be_restored():
    """A checkpoint forgets weak types, so the loop must not see them: promotion differs."""
    seen = []

    def update(model, state, batch, key):
        seen.append(model.weak_type)
        return model * 0.5, state, {}

    rule = Rule(lambda model, key: {}, update)
    weak = jnp.asarray(1.0)
    assert weak.weak_type
    for _, model, _, _ in fit(rule, weak, batches(), key(), steps=3):
        np.testing.assert_allclose(model, 0.125)
    assert seen == [False]
