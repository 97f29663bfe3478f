# SPDX-License-Identifier: Apache-2.0
"""Sequences of rows: all probabilities together, what sees what, draws, and a law that is known."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.data import in_memory
from jaxml.layers import GRU, LSTM
from jaxml.models.autoregressive import frames
from jaxml.models.autoregressive.rows import RowModel, bernoulli
from jaxml.nn import MADE, NADE, Recurrent
from jaxml.optimizers import adam
from jaxml.training import descend, fit


def model_of(n, width=4, *, kind=LSTM, **options):
    """A small model with NumPy's weights in place of the initial ones."""

    def make():
        row = MADE(n, (5,), 1, n_context=width, rngs=nnx.Rngs(0))
        network = Recurrent(kind, n, (width,), rngs=nnx.Rngs(1))
        return frames.FrameModel(network, RowModel(row, bernoulli()), **options)

    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(0.7 * rng.normal(size=s.shape)), shapes)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_the_probabilities_of_all_sequences_sum_to_one(kind, x64):
    """All 512 sequences of three frames of three bits, to 1e-12."""
    every = np.array(list(itertools.product([0.0, 1.0], repeat=9))).reshape(-1, 3, 3)
    found = jax.jit(frames.log_prob)(model_of(3, kind=kind), jnp.asarray(every))
    assert abs(np.exp(np.asarray(found)).sum() - 1) < 1e-12
    assert np.ptp(found) > 1


def test_a_frame_is_seen_by_itself_and_by_later_ones_alone(x64):
    """0.0 change before the frame that changed, and some in it and behind it."""
    model = model_of(3)
    x = np.random.default_rng(1).integers(0, 2, (1, 6, 3)).astype(float)
    run = jax.jit(frames.log_prob_by_frame)
    whole = np.asarray(run(model, jnp.asarray(x)))
    for t in range(6):
        other = x.copy()
        other[0, t, 1] = 1 - other[0, t, 1]
        change = np.abs(np.asarray(run(model, jnp.asarray(other))) - whole)[0]
        assert (change[:t] == 0).all()
        assert (change[t:] > 0).all()


def test_padding_costs_nothing_and_a_loss_is_a_mean_over_frames(x64):
    """What stands behind the end is not read; the loss counts frames, and not sequences."""
    model = model_of(2)
    rng, run = np.random.default_rng(2), jax.jit(frames.log_prob)
    x, length = rng.integers(0, 2, (4, 5, 2)).astype(float), np.array([5, 2, 2, 4])
    mask = np.arange(5) < length[:, None]
    found = np.asarray(run(model, jnp.asarray(x), mask=jnp.asarray(mask)))
    alone = run(model, jnp.asarray(x[1:3, :2]))
    np.testing.assert_allclose(found[1:3], alone, rtol=1e-12)
    batch = {"x": jnp.asarray(x), "mask": jnp.asarray(mask)}
    value, metrics = jax.jit(frames.loss)(model, batch, jax.random.key(0))
    np.testing.assert_allclose(value, -found.sum() / length.sum(), rtol=1e-12)
    np.testing.assert_allclose(metrics["log_prob"], found.mean(), rtol=1e-12)


def test_draws_have_the_law_and_follow_their_prompt():
    """Frequencies of the 16 sequences of two frames of two bits: χ² below its 1e-4 quantile."""
    model = jax.tree.map(lambda a: a.astype(jnp.float32), model_of(2))
    draw = jax.jit(frames.sample, static_argnames=("n", "length"))
    x = draw(model, jax.random.key(0), 20_000, length=2)
    every = np.array(list(itertools.product([0.0, 1.0], repeat=4)), "f4").reshape(-1, 2, 2)
    p = np.exp(np.asarray(frames.log_prob(model, jnp.asarray(every))))
    seen = np.bincount((np.asarray(x).reshape(-1, 4) @ [8, 4, 2, 1]).astype(int), minlength=16)
    assert ((seen - 20_000 * p) ** 2 / (20_000 * p)).sum() < 44.3  # 15 degrees of freedom
    prompt = jnp.tile(jnp.asarray([[[1.0, 0.0]]]), (20_000, 1, 1))
    y = draw(model, jax.random.key(1), 20_000, length=2, prompt=prompt)
    np.testing.assert_array_equal(y[:, :1], prompt)
    given = p.reshape(4, 4)[2] / p.reshape(4, 4)[2].sum()
    seen = np.bincount((np.asarray(y[:, 1]) @ [2, 1]).astype(int), minlength=4)
    assert ((seen - 20_000 * given) ** 2 / (20_000 * given)).sum() < 21.1  # 3 degrees


def test_training_finds_the_entropy_of_frames_that_repeat_or_not():
    """x_t = x_{t−1} but for 10 % of frames that are drawn anew, of two bits that agree in 80 %."""
    rng, n, t = np.random.default_rng(0), 512, 12
    table = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "f4")
    p = np.array([0.4, 0.1, 0.1, 0.4])
    which = rng.choice(4, (n, t), p=p)
    for i in range(1, t):
        keep = rng.random(n) < 0.9
        which[keep, i] = which[keep, i - 1]
    stay = 0.1 * p + 0.9
    moves = 0.1 * p[None].repeat(4, 0)
    np.fill_diagonal(moves, stay)
    entropy = -(p[:, None] * moves * np.log(moves)).sum()
    first = -(p * np.log(p)).sum()
    row = RowModel(MADE(2, (8,), 1, n_context=16, rngs=nnx.Rngs(0)), bernoulli())
    model = frames.FrameModel(Recurrent(GRU, 2, (16,), rngs=nnx.Rngs(1)), row)
    rule = descend(frames.loss, adam(1e-2))
    batches = in_memory(jnp.asarray(table[which]), 128, jax.random.key(0))
    for _, _, _, metrics in fit(rule, model, batches, jax.random.key(1), steps=400, chunk=200):
        last = metrics["loss"][-20:].mean()
    expected = (first + (t - 1) * entropy) / t
    assert abs(last - expected) < 0.03  # 512 sequences, whose own mean is as far from it


def test_what_does_not_fit_is_refused():
    row = RowModel(NADE(2, 3, 1, n_context=4, rngs=nnx.Rngs(0)), bernoulli())
    both = Recurrent(LSTM, 2, (2,), bidirectional=True, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="forwards only"):
        frames.FrameModel(both, row)
    model = model_of(2)
    with pytest.raises(ValueError, match="dropout"):
        frames.FrameModel(model.network, row, dropout=1.0)
    many = RowModel(MADE(2, (3,), 1, n_context=4, rngs=nnx.Rngs(0)), bernoulli(), n_masks=3)
    with pytest.raises(ValueError, match="ensemble of 3"):
        frames.FrameModel(model.network, many)
    with pytest.raises(ValueError, match="mask: expected shape"):
        frames.log_prob(model, jnp.zeros((2, 3, 2)), mask=jnp.ones((2, 2), bool))
    with pytest.raises(ValueError, match="prompt, length"):
        frames.sample(model, jax.random.key(0), 2, length=3, prompt=jnp.zeros((2, 3, 2)))
