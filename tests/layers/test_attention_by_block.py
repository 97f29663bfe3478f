# SPDX-License-Identifier: Apache-2.0
"""Blocks of queries: which keys they keep, and what they compute and hold."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers.attention_by_block import ROWS, Sight, at_once, by_block


@pytest.mark.parametrize("offset", [-7, 0, 3])
@pytest.mark.parametrize("window", [None, 1, 4, 50])
@pytest.mark.parametrize("causal", [False, True])
def test_keys_of_a_block_are_those_that_its_queries_see(causal, window, offset):
    """From the first to the last key that the mask shows to any of them; none if there is none."""
    sight = Sight(causal, window, offset)
    seen = sight.mask(12, 9)
    seen = np.ones((12, 9), bool) if seen is None else np.asarray(seen)
    for start, stop in ((0, 5), (5, 10), (10, 12)):
        (keys,) = np.nonzero(seen[start:stop].any(0))
        got = sight.keys(start, stop, 9)
        if len(keys):
            assert (got.start, got.stop) == (keys[0], keys[-1] + 1)
        else:
            assert got.start == got.stop


def arrays(t):
    rng = np.random.default_rng(0)
    shapes = (2, 3, t, 8), (2, t, 8), (2, t, 4)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


@pytest.mark.parametrize("t", [1, ROWS, 3 * ROWS + 1])
def test_the_forms_agree(t):
    """By block and at once: the same to single precision, without heads or batch in common."""
    sight = Sight(True, None, 0)

    def run(form):
        return jax.jit(lambda q, k, v: form(q, k, v, None, None, sight=sight, scale=0.5))(
            *arrays(t)
        )

    np.testing.assert_allclose(run(by_block), run(at_once), rtol=1e-5, atol=1e-6)


def test_very_long_sequences_are_sixteen_blocks():
    """The code does not grow with the sequence: two products for each of at most 16 blocks."""
    for t, blocks in ((16 * ROWS, 16), (16 * ROWS + 1, 9), (40 * ROWS, 14)):
        form = partial(by_block, bias=None, mask=None, sight=Sight(True, None, 0), scale=1.0)
        shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays(t)]
        text = jax.jit(lambda q, k, v, form=form: form(q, k, v)).lower(*shapes).as_text()
        assert text.count("dot_general") == 2 * blocks


def test_memory_of_a_block():
    """Compiled for 2048 queries, blocks take half of the temporaries, or less than an eighth."""
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays(2048)]

    def temporaries(form):
        f = jax.jit(
            lambda q, k, v: form(q, k, v, None, None, sight=Sight(True, None, 0), scale=1.0)
        )
        analysis = f.lower(*shapes).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    share = temporaries(by_block) / temporaries(at_once)
    assert share < 0.55
    # Older compilers drop the barriers between the blocks and start them all.
    if jax.__version_info__ >= (0, 12):
        assert share < 1 / 8
