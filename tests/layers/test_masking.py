# SPDX-License-Identifier: Apache-2.0
"""Masks let through exactly what comes before."""

import jax
import numpy as np
import pytest

from jaxml.layers import masking


@pytest.mark.parametrize("seed", range(5))
def test_a_product_of_masks_is_the_order(seed):
    """Input i reaches output j exactly if its place in the order is before j's."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 9))
    order = rng.permutation(d) + 1
    widths = [int(n) for n in rng.integers(d, 3 * d, size=2)]
    reach = np.eye(d)
    for mask in masking.made_masks(order.tolist(), widths):
        reach = reach @ mask
    np.testing.assert_array_equal(reach > 0, order[:, None] < order[None])


def test_degrees_are_shared_evenly():
    """No degree of 1 … D − 1 has two units more than another."""
    _, hidden = masking.made_degrees([3, 1, 2, 4], [10])
    counts = np.bincount(hidden)[1:]
    assert counts.sum() == 10
    assert counts.max() - counts.min() <= 1


def test_one_input_knows_nothing():
    """D = 1: the output is a constant."""
    first, last = masking.made_masks([1], [4])
    assert (first @ last).sum() == 0


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("self_too", [False, True])
def test_kernels_read_what_comes_before_in_raster_order(colours, self_too):
    """Rows above, pixels to the left; of the own pixel the colours before, or up to itself."""
    mask = masking.pixel_cnn((3, 5), 2 * colours, colours, self_too=self_too, colours=colours)
    for a in range(3):
        for b in range(5):
            for i in range(2 * colours):
                for o in range(colours):
                    here, source, target = (a, b), i % colours, o % colours
                    before = here < (1, 2)
                    own = here == (1, 2) and (source <= target if self_too else source < target)
                    assert mask[a, b, i, o] == (before or own)


def test_halves_are_complements():
    """Checkerboards and channels: two masks, disjoint and together everything."""
    board = masking.checkerboard((3, 4))
    np.testing.assert_array_equal(board[0], [True, False, True, False])
    np.testing.assert_array_equal(board, ~masking.checkerboard((3, 4), odd=True))
    assert not (board[1:] & board[:-1]).any()
    assert not (board[:, 1:] & board[:, :-1]).any()
    np.testing.assert_array_equal(masking.first_half(5), [True, True, True, False, False])
    np.testing.assert_array_equal(masking.first_half(5), ~masking.first_half(5, second=True))


def test_bad_orders_and_windows_are_refused():
    for build, message in [
        (lambda: masking.made_masks([1, 1], [3]), "order: expected a permutation of 1 to 2"),
        (lambda: masking.made_masks([0, 1], [3]), "order: expected a permutation"),
        (lambda: masking.made_masks([1, 2], [0]), "widths: expected positive"),
        (lambda: masking.pixel_cnn((2, 3), 1, 1, self_too=True), "window: expected odd"),
        (lambda: masking.pixel_cnn((3, 3), 4, 3, self_too=True, colours=3), "colours: expected"),
    ]:
        with pytest.raises(ValueError, match=message):
            build()


def test_drawn_degrees_leave_an_order_whatever_they_are():
    """Over 300 draws: permutations, a path only from earlier to later places, and all in range."""
    keys = jax.random.split(jax.random.key(0), 300)
    draws = jax.jit(jax.vmap(lambda key: masking.drawn_degrees(key, 5, (9, 4))))(keys)
    for order, *hidden in zip(*map(np.asarray, draws), strict=True):
        assert sorted(order) == [1, 2, 3, 4, 5]
        assert min(h.min() for h in hidden) >= 1
        assert max(h.max() for h in hidden) <= 4
        assert hidden[1].min() >= hidden[0].min()
        first, middle, last = masking.degree_masks([order, *hidden])
        paths = first.astype(int) @ middle @ last
        assert (paths[~np.less.outer(order, order)] == 0).all()
    assert len(np.unique(np.asarray(draws[0]), axis=0)) > 95  # 110 of 120 on average
    assert set(np.unique(np.asarray(draws[1]))) == {1, 2, 3, 4}


def test_drawn_degrees_keep_the_order_if_asked_and_serve_one_input():
    """Connections alone differ; a single input is seen by nothing."""
    keys = jax.random.split(jax.random.key(1), 2)
    one, other = (masking.drawn_degrees(key, 6, (20,), shuffle=False) for key in keys)
    np.testing.assert_array_equal(one[0], np.arange(1, 7))
    np.testing.assert_array_equal(other[0], one[0])
    assert (one[1] != other[1]).any()
    alone = masking.drawn_degrees(jax.random.key(2), 1, (3,))
    np.testing.assert_array_equal(masking.degree_masks(alone)[-1], False)
