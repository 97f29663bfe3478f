# SPDX-License-Identifier: Apache-2.0
"""Modes found by draws whose law is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.metrics import mode_coverage

CENTERS = jnp.asarray([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def draws(counts, scale=0.5):
    rng = np.random.default_rng(0)
    rows = [rng.normal(c, scale, (n, 2)) for c, n in zip(np.asarray(CENTERS), counts, strict=True)]
    return jnp.asarray(np.concatenate(rows), jnp.float32)


def test_good_draws_are_counted_where_they_belong():
    """Of a normal law in the plane 1 − e^(−4.5) lie within 3 σ, in every mode alike."""
    found = mode_coverage(draws((20_000, 10_000, 10_000)), CENTERS, 0.5)
    share = 1 - np.exp(-4.5)
    np.testing.assert_allclose(found.counts, np.array([2, 1, 1]) * 1e4 * share, rtol=0.005)
    assert abs(found.quality - share) < 4.5 * np.sqrt(share * (1 - share) / 40_000)
    assert found.found.all()
    one = mode_coverage(draws((20_000, 10_000, 10_000)), CENTERS, 0.5, radius=1.0)
    assert abs(one.quality - (1 - np.exp(-0.5))) < 0.01


def test_a_mode_with_too_few_draws_is_not_found():
    """990, 9 and 1 draws: a tenth of a third is 33; any at all with a share of 0."""
    x = draws((990, 9, 1), scale=1e-3)
    assert mode_coverage(x, CENTERS, 0.5).found.tolist() == [True, False, False]
    assert mode_coverage(x, CENTERS, 0.5, least=0.0).found.tolist() == [True, True, True]
    assert mode_coverage(x[:990], CENTERS, 0.5, least=0.0).found.tolist() == [True, False, False]


def test_the_effective_number_is_that_of_equal_shares():
    """3 where all have the same, 1 where one has all, e^H in between, 0 without a good draw."""
    for counts in ((300, 300, 300), (900, 0, 0), (600, 200, 100)):
        share = np.array([c for c in counts if c]) / 900
        found = mode_coverage(draws(counts, scale=1e-3), CENTERS, 0.5)
        np.testing.assert_allclose(
            found.effective, np.exp(-np.sum(share * np.log(share))), rtol=1e-5
        )
    assert mode_coverage(draws((9, 9, 9)) + 50.0, CENTERS, 0.5).effective == 0


def test_draws_between_modes_are_not_good():
    x = jnp.asarray([[5.0, 0.0], [0.0, 5.0], [100.0, 100.0], [0.1, 0.0]])
    found = mode_coverage(x, CENTERS, 0.5)
    assert found.quality == 0.25
    assert found.counts.tolist() == [1, 0, 0]


def test_an_ensemble_is_judged_at_once():
    x = jnp.stack([draws((30, 0, 0)), draws((10, 10, 10))])
    found = jax.jit(jax.vmap(lambda x: mode_coverage(x, CENTERS, 0.5)))(x)
    assert found.found.sum(1).tolist() == [1, 3]


@pytest.mark.parametrize("bad", [{"scale": 0.0}, {"radius": 0.0}, {"least": 1.5}])
def test_bad_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="scale, radius, least"):
        mode_coverage(CENTERS, CENTERS, **({"scale": 1.0} | bad))
