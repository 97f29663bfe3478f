# SPDX-License-Identifier: Apache-2.0
"""How chorales are moved and scored: what a mean over frames is, and how far it may be off."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import lstm_chorales as chorales
from jaxml.layers import LSTM
from jaxml.models.autoregressive import frames, rows
from jaxml.nn import MADE, Recurrent

RNG = np.random.default_rng(0)


def pieces(n, most):
    length = RNG.integers(1, most + 1, n)
    x = np.zeros((n, most, chorales.NOTES), np.uint8)
    x[:, :, 30:50] = RNG.random((n, most, 20)) < 0.2
    return chorales.masked({"x": x, "length": length}), length


def test_masks_are_true_up_to_the_length():
    part, length = pieces(5, 7)
    np.testing.assert_array_equal(part["mask"].sum(1), length)
    assert (np.diff(part["mask"].astype(int), axis=1) <= 0).all()


def test_a_piece_is_moved_as_a_whole_up_or_down():
    """One number of semitones a piece, all from -3 to 3, and as many notes as before."""
    part, _ = pieces(200, 4)
    moved = chorales.transposed(3, jax.tree.map(jnp.asarray, part), jax.random.key(0))
    x, by = np.asarray(moved["x"]), []
    for before, after in zip(part["x"], x, strict=True):
        fits = [k for k in range(-3, 4) if (np.roll(before, k, axis=1) == after).all()]
        assert fits
        by.append(fits[0])
    assert set(by) == set(range(-3, 4))
    np.testing.assert_array_equal(moved["mask"], part["mask"])
    still = chorales.transposed(0, jax.tree.map(jnp.asarray, part), jax.random.key(0))
    np.testing.assert_array_equal(still["x"], part["x"])


def scored(part, costs, monkeypatch):
    monkeypatch.setattr(chorales, "_log_prob", lambda model, x, mask: -costs)
    (found,) = chorales.evaluate({}, part, None, jax.random.key(0), lambda n: None)
    return found


def test_a_mean_over_frames_errs_as_the_jackknife_over_pieces_says(monkeypatch):
    """Long pieces count for more; leaving out one piece at a time gives the error within 5 %."""
    part, length = pieces(300, 40)
    costs = length * RNG.normal(6, 1, 300) + RNG.normal(size=300)
    found = scored(part, costs, monkeypatch)
    np.testing.assert_allclose(found.value, costs.sum() / length.sum(), rtol=1e-12)
    without = (costs.sum() - costs) / (length.sum() - length)
    expected = np.sqrt(299 / 300 * np.square(without - without.mean()).sum())
    np.testing.assert_allclose(found.standard_error, expected, rtol=0.05)
    assert found.n == 300
    assert not found.higher_is_better


def test_notes_by_chance_cost_88_bits_a_frame():
    """All numbers 0: every note has probability 1/2, and no piece differs from another."""

    def make():
        row = MADE(chorales.NOTES, (2,), 1, n_context=2, rngs=nnx.Rngs(0))
        network = Recurrent(LSTM, chorales.NOTES, (2,), rngs=nnx.Rngs(0))
        return frames.FrameModel(network, rows.RowModel(row, rows.bernoulli()))

    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(make))
    part, _ = pieces(6, 5)
    (found,) = chorales.evaluate({}, part, zeros, jax.random.key(0), lambda n: None)
    np.testing.assert_allclose(found.value, 88 * np.log(2), rtol=1e-6)
    assert found.standard_error < 1e-4
    told = chorales.validate(part, zeros, jax.random.key(0))
    np.testing.assert_allclose(told["nats_per_frame"], 88 * np.log(2), rtol=1e-6)
