# SPDX-License-Identifier: Apache-2.0
"""Mixtures over the colours of a pixel: probabilities that sum to 1, and draws that follow them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.probability import discretized_logistic_mixture as mixture


def heads(colours, k, n=1, seed=0):
    """Logits, means, log-scales and couplings of n pixels."""
    rng = np.random.default_rng(seed)
    sizes = ((n, k), (n, colours, k), (n, colours, k), (n, colours * (colours - 1) // 2, k))
    logits, mean, log_scale, coupling = (rng.normal(size=size) for size in sizes)
    return [jnp.asarray(a) for a in (logits, 0.5 * mean, log_scale - 1.5, coupling)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(x, logits, mean, log_scale, coupling, n_levels):
    """One pixel, in NumPy and with plain sigmoids."""
    h, total = 1 / (n_levels - 1), 0.0
    weight = np.exp(logits) / np.exp(logits).sum()
    for k in range(len(logits)):
        p = weight[k]
        for c in range(len(x)):
            pairs = [(i, j) for i in range(len(x)) for j in range(i)]
            m = mean[c, k] + sum(coupling[pairs.index((c, b)), k] * x[b] for b in range(c))
            s = np.exp(log_scale[c, k])
            upper = 1.0 if x[c] > 1 - h / 2 else sigmoid((x[c] - m + h) / s)
            lower = 0.0 if x[c] < -1 + h / 2 else sigmoid((x[c] - m - h) / s)
            p *= upper - lower
        total += p
    return np.log(total)


@pytest.mark.parametrize(("colours", "n_levels"), [(1, 256), (2, 16), (3, 6)])
def test_the_probabilities_of_all_pixels_sum_to_one(colours, n_levels, x64):
    """256 bytes of one colour, 256 pairs of two and 216 triples of three, to 1e-9."""
    levels = np.linspace(-1, 1, n_levels)
    every = jnp.asarray(list(itertools.product(levels, repeat=colours)))
    parts = [jnp.broadcast_to(a[0], (len(every), *a.shape[1:])) for a in heads(colours, 4)]
    found = jax.jit(lambda x, *a: mixture.log_prob(x, *a, n_levels=n_levels))(every, *parts)
    assert abs(np.exp(np.asarray(found)).sum() - 1) < 1e-9
    for i in (0, len(every) // 3, len(every) - 1):
        expected = by_hand(np.asarray(every[i]), *(np.asarray(a[i]) for a in parts), n_levels)
        np.testing.assert_allclose(found[i], expected, rtol=1e-9)


def test_draws_have_the_law():
    """Frequencies of 4 x 4 x 4 levels in 40,000 draws: χ² below its 1e-4 quantile."""
    n, levels = 40_000, np.linspace(-1, 1, 4)
    every = np.array(list(itertools.product(levels, repeat=3)), "f4")
    one = [a[0].astype(jnp.float32) for a in heads(3, 2, seed=1)]
    wide = [jnp.broadcast_to(a, (n, *a.shape)) for a in one]
    x = jax.jit(lambda key: mixture.sample(*wide, key, n_levels=4))(jax.random.key(0))
    number = np.rint((np.asarray(x) + 1) * 1.5).astype(int) @ [16, 4, 1]
    seen = np.bincount(number, minlength=64)
    same = [jnp.broadcast_to(a, (64, *a.shape)) for a in one]
    expected = n * np.exp(np.asarray(mixture.log_prob(jnp.asarray(every), *same, n_levels=4)))
    rare = expected < 5  # together in one cell
    seen, expected = (np.append(a[~rare], a[rare].sum()) for a in (seen, expected))
    expected = np.maximum(expected, 1e-9)
    limit = stats.chi2.ppf(1 - 1e-4, len(seen) - 1)
    assert ((seen - expected) ** 2 / expected).sum() < limit


def test_it_is_finite_far_away_with_finite_slopes():
    """Means at ±30 and scales down to e^−7, in single precision; one component is the plain law."""
    x = jnp.asarray([[-1.0, 0.5, 1.0]])
    coupling = jnp.full((1, 3, 2), 20.0)
    for mean, log_scale in itertools.product((-30.0, 0.0, 30.0), (-7.0, 3.0)):
        parts = jnp.zeros((1, 2)), jnp.full((1, 3, 2), mean), jnp.full((1, 3, 2), log_scale)
        value, slopes = jax.value_and_grad(
            lambda *a: mixture.log_prob(x, *a, coupling).sum(), argnums=(0, 1, 2)
        )(*parts)
        assert np.isfinite(value)
        assert all(np.isfinite(slope).all() for slope in slopes)


def test_couplings_are_one_a_pair():
    logits, mean, log_scale, coupling = heads(3, 2)
    with pytest.raises(ValueError, match="coupling: expected 3 pairs, got 2"):
        mixture.log_prob(jnp.zeros((1, 3)), logits, mean, log_scale, coupling[:, :2])
