# SPDX-License-Identifier: Apache-2.0
"""Combinators against the same maps written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import bijections as b

RNG = np.random.default_rng(0)
AFFINE = b.Bijection(b.affine, b.affine_inverse)
PLANAR = b.Bijection(b.planar, b.planar_inverse, 1)


def draw(*shape):
    return jnp.asarray(RNG.normal(size=shape))


def test_a_chain_goes_from_first_to_last_and_sums_to_the_largest_event(x64):
    """Log-slopes of the elementwise part are summed over the vectors of the other."""
    x, first, second = draw(5, 3), b.Affine(draw(3), draw(3)), b.Planar(draw(3), draw(3), draw())
    both = b.chain(AFFINE, PLANAR)
    y, log_det = both.forward(x, (first, second))
    middle, slopes = b.affine(x, first)
    expected, rest = b.planar(middle, second)
    assert both.event == 1
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(log_det, slopes.sum(-1) + rest, rtol=1e-14)


def test_a_scan_is_the_chain_of_its_layers_and_compiles_one(x64):
    layers = [b.Planar(draw(3), draw(3), draw()) for _ in range(7)]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *layers)
    x, many = draw(5, 3), b.scan(PLANAR)
    for mine, other in (
        (many.forward(x, stacked), b.chain(*[PLANAR] * 7).forward(x, layers)),
        (many.inverse(x, stacked), b.chain(*[PLANAR] * 7).inverse(x, layers)),
    ):
        np.testing.assert_allclose(mine[0], other[0], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(mine[1], other[1], rtol=1e-11, atol=1e-12)
    text = [
        str(jax.make_jaxpr(many.forward)(x, jax.tree.map(lambda a, n=n: a[:n], stacked)))
        for n in (2, 7)
    ]
    assert len(text[0].splitlines()) == len(text[1].splitlines())


def test_two_inversions_change_nothing():
    assert b.invert(b.invert(PLANAR)) == PLANAR


def test_side_by_side_is_one_map_an_entry(x64):
    """Axis i of events with parameters of its own, whatever the batch in front."""
    params = [b.Planar(draw(3), draw(3), draw()) for _ in range(4)]
    x = draw(2, 5, 4, 3)
    y, log_det = b.side_by_side(PLANAR).forward(x, jax.tree.map(lambda *a: jnp.stack(a), *params))
    parts = [b.planar(x[:, :, i], p) for i, p in enumerate(params)]
    np.testing.assert_allclose(y, np.stack([p[0] for p in parts], 2), rtol=1e-12)
    np.testing.assert_allclose(log_det, sum(p[1] for p in parts), rtol=1e-12)


def test_a_context_makes_the_parameters(x64):
    """f(x; g(φ, c)) there and back."""
    own, c, x = draw(3), draw(3), draw(5, 3)
    bent = b.conditional(AFFINE, lambda own, c: b.Affine(own * c, jnp.tanh(c)))
    y, log_det = bent.forward(x, (own, c))
    np.testing.assert_allclose(
        y, np.asarray(x) * np.exp(np.tanh(c)) + np.asarray(own * c), rtol=1e-12
    )
    np.testing.assert_allclose(bent.inverse(y, (own, c))[0], x, rtol=1e-12)
    np.testing.assert_allclose(log_det, np.broadcast_to(np.tanh(c), (5, 3)), rtol=1e-12)


def test_bad_arguments_are_refused_by_name():
    for build, name in [
        (b.chain, "chain"),
        (lambda: b.independent(AFFINE, -1), "n_axes"),
        (lambda: b.permutation((0, 2)), "order"),
        (lambda: b.squeeze(1), "factor"),
    ]:
        with pytest.raises(ValueError, match=name):
            build()


def test_split_and_join_are_inverse():
    """Odd numbers of channels too; the first part is the larger."""
    x = jnp.arange(10.0).reshape(2, 5)
    first, second = b.split(x)
    assert (first.shape, second.shape) == ((2, 3), (2, 2))
    np.testing.assert_array_equal(b.join(first, second), x)
