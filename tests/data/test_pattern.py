# SPDX-License-Identifier: Apache-2.0
"""Patterns small enough to enumerate: the probabilities add up and the samples follow them."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.data.pattern import bars_and_stripes, heartbeat

CASES = {
    "bars 2": (bars_and_stripes(2), (2, 2)),
    "bars 3": (bars_and_stripes(3), (3, 3)),
    "bars 4": (bars_and_stripes(4), (4, 4)),
    "beat 8/3": (heartbeat(8, 3), (8,)),
    "beat 6/6": (heartbeat(6, 6), (6,)),
}

every_case = pytest.mark.parametrize("name", CASES)


def enumerate_all(name):
    """Every binary array and its log-probability."""
    pattern, shape = CASES[name]
    x = np.array(list(product([0, 1], repeat=int(np.prod(shape)))), np.float32)
    x = x.reshape(-1, *shape)
    return x, np.asarray(jax.jit(pattern.log_prob)(x), np.float64)


@every_case
def test_probabilities_sum_to_one_and_give_the_entropy(name):
    """Σ_x p(x) = 1 and -Σ p log p = H over all 2^d arrays."""
    _, log_p = enumerate_all(name)
    p = np.exp(log_p)
    assert p.sum() == pytest.approx(1, abs=1e-6)
    assert -(p * np.where(p > 0, log_p, 0)).sum() == pytest.approx(CASES[name][0].entropy, abs=1e-6)


@every_case
def test_samples_follow_the_probabilities(name):
    """χ² of 20 000 draws over the arrays that can occur; none other is drawn."""
    pattern, shape = CASES[name]
    x, log_p = enumerate_all(name)
    draws = np.asarray(jax.jit(pattern.sample, static_argnums=1)(jax.random.key(0), 20_000))
    assert draws.shape == (20_000, *shape)
    assert draws.dtype == np.float32
    places = 2 ** np.arange(np.prod(shape))[::-1]
    seen = np.bincount((draws.reshape(len(draws), -1) @ places).astype(int), minlength=len(x))
    possible = np.isfinite(log_p)
    assert seen[~possible].sum() == 0
    p = np.exp(log_p[possible])
    assert stats.chisquare(seen[possible], 20_000 * p / p.sum()).pvalue > 1e-4


def test_bars_and_stripes_are_counted():
    """2^(m+1) - 2 images; full and empty are twice as likely as the rest."""
    for side in (2, 3, 4):
        x, log_p = enumerate_all(f"bars {side}")
        assert np.isfinite(log_p).sum() == 2 ** (side + 1) - 2
        assert log_p[0] == pytest.approx(-side * np.log(2), abs=1e-6)
        assert log_p[-1] == pytest.approx(-side * np.log(2), abs=1e-6)
        stripe = np.zeros((side, side), np.float32)
        stripe[0] = 1
        for image in (stripe, stripe.T):
            index = np.flatnonzero((x == image).all(axis=(1, 2)))[0]
            assert log_p[index] == pytest.approx(-(side + 1) * np.log(2), abs=1e-6)


def test_the_heartbeat_of_the_paper():
    """Length 20, a one in every fifth bin: four beats, log2 5 bits."""
    beat = heartbeat()
    x = np.asarray(beat.sample(jax.random.key(1), 50))
    assert x.shape == (50, 20)
    assert (x.sum(axis=1) == 4).all()
    assert (np.diff(np.nonzero(x)[1].reshape(50, 4), axis=1) == 5).all()
    assert beat.entropy / np.log(2) == pytest.approx(np.log2(5), abs=1e-12)
    assert (jax.vmap(beat.log_prob)(x) == -np.float32(np.log(5))).all()


def test_what_is_not_binary_cannot_occur():
    assert bars_and_stripes(2).log_prob(jnp.full((2, 2), 0.5)) == -jnp.inf
    assert heartbeat(4, 2).log_prob(jnp.full((4,), 0.5)) == -jnp.inf


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: bars_and_stripes(1), "side"),
        (lambda: heartbeat(4, 5), "period"),
        (lambda: heartbeat(4, 0), "period"),
    ],
)
def test_impossible_sizes_are_refused_by_name(make, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        make()
