# SPDX-License-Identifier: Apache-2.0
"""Every epoch holds every example once, whatever the batch, the remainder and the processes."""

import json
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxml.data.order import example_ids, ids, order
from jaxml.data.permutation import feistel

KEY = 42


def stream(plan, steps, first=0):
    """The ids of consecutive steps as one array (steps, batch)."""
    return np.stack([ids(plan, step) for step in range(first, first + steps)])


def test_five_epochs_hold_each_example_exactly_once_each():
    """Log the ids of 5 epochs: each id once per epoch, in orders with Spearman's |ρ| < 0.1."""
    n = 1200
    plan = order(n, 100, jax.random.key(KEY))
    epochs = stream(plan, 60).reshape(5, n)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(n))
    for first, second in pairwise(epochs):
        assert abs(stats.spearmanr(first, second).statistic) < 0.1


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (10, 10), (7, 5), (499, 64), (16, 1)])
def test_dropped_remainders_differ_between_epochs(n, batch):
    """floor(n/B) batches an epoch without a repeat; over many epochs nothing is left out."""
    plan = order(n, batch, jax.random.key(KEY))
    per_epoch = n // batch
    epochs = stream(plan, 40 * per_epoch).reshape(40, per_epoch * batch)
    for epoch in epochs:
        assert len(np.unique(epoch)) == per_epoch * batch
    assert set(epochs.ravel()) == set(range(n))


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (10, 10), (3, 10), (1, 4), (499, 64)])
def test_kept_remainders_cut_the_stream_of_epochs_continuously(n, batch):
    """The concatenated batches, cut every n examples, are permutations of 0, ..., n - 1."""
    plan = order(n, batch, jax.random.key(KEY), keep_remainder=True)
    seen = stream(plan, n).reshape(-1)
    for epoch in seen.reshape(batch, n):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(n))


@given(
    n=st.integers(1, 2**31 - 1),
    batch=st.integers(1, 4096),
    step=st.integers(0, 2**31 - 1),
    keep_remainder=st.booleans(),
)
def test_positions_do_not_overflow(n, batch, step, keep_remainder):
    """Unshuffled ids equal Python's unbounded integers: (step·B + j) mod n, or by whole epochs."""
    if batch > n and not keep_remainder:
        return
    plan = order(n, batch, jax.random.key(0), keep_remainder=keep_remainder, shuffle=False)
    if keep_remainder:
        expected = [(step * batch + j) % n for j in range(batch)]
    else:
        expected = [step % (n // batch) * batch + j for j in range(batch)]
    np.testing.assert_array_equal(ids(plan, np.int64(step)), expected)


@pytest.mark.parametrize("keep_remainder", [False, True])
@pytest.mark.parametrize("step", [0, 1, 2**24 + 1, 2**31 - 1])
def test_late_steps_read_the_epoch_they_belong_to(step, keep_remainder):
    """The shuffled ids are feistel(position, words = key, epoch) with epoch from exact integers."""
    n, batch = 55001, 128
    plan = order(n, batch, jax.random.key(KEY), keep_remainder=keep_remainder)
    if keep_remainder:
        where = [divmod(step * batch + j, n) for j in range(batch)]
    else:
        where = [(step // (n // batch), step % (n // batch) * batch + j) for j in range(batch)]
    epoch, position = np.array(where).T
    words = [np.uint32(word) for word in np.asarray(jax.random.key_data(jax.random.key(KEY)))]
    expected = feistel(position, n, [*words, epoch.astype(np.uint32)])
    np.testing.assert_array_equal(ids(plan, step), expected)


@pytest.mark.parametrize("keep_remainder", [False, True])
def test_compiled_and_mapped_steps_give_the_numbers_of_the_host(keep_remainder):
    plan = order(55001, 128, jax.random.key(KEY), keep_remainder=keep_remainder)
    steps = [0, 1, 428, 429, 430, 859, 2**24 + 1, 2**31 - 1]
    many = jax.jit(jax.vmap(lambda step: ids(plan, step)))
    found = many(jnp.array(steps, jnp.int32))
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, [ids(plan, step) for step in steps])


@pytest.mark.parametrize("keep_remainder", [False, True])
def test_parts_of_the_processes_make_up_the_batch(keep_remainder):
    """Process i of p reads rows [iB/p, (i+1)B/p) of the batch that one process would read."""
    options = {"keep_remainder": keep_remainder}
    alone = order(50, 12, jax.random.key(KEY), **options)
    shared = order(50, 12, jax.random.key(KEY), n_processes=3, **options)
    for step in range(20):
        parts = [ids(shared, step, process=i) for i in range(3)]
        assert [len(part) for part in parts] == [4, 4, 4]
        np.testing.assert_array_equal(np.concatenate(parts), ids(alone, step))
        np.testing.assert_array_equal(ids(shared, step), ids(alone, step))


def test_example_ids_need_nothing_but_the_facts():
    """A fingerprint that went through JSON names the same ids."""
    plan = order(50, 12, jax.random.key(KEY), keep_remainder=True)
    facts = json.loads(json.dumps({"order": plan._asdict()}))
    np.testing.assert_array_equal(example_ids(facts, 9), ids(plan, 9))
    with pytest.raises(ValueError, match="fingerprint"):
        example_ids({"sha256": "0"}, 9)


def test_other_keys_give_other_orders():
    first = stream(order(100, 100, jax.random.key(0)), 1)
    second = stream(order(100, 100, jax.random.key(1)), 1)
    assert (first != second).any()


@pytest.mark.parametrize(
    ("arguments", "options", "name"),
    [
        ((0, 1), {}, "length"),
        ((2**31, 1), {}, "length"),
        ((10, 0), {}, "batch_size"),
        ((10, 11), {}, "batch_size"),
        ((10, 4), {"n_processes": 3}, "n_processes"),
        ((10, 4), {"n_processes": 0}, "n_processes"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(arguments, options, name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        order(*arguments, jax.random.key(0), **options)
