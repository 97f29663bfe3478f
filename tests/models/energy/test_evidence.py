# SPDX-License-Identifier: Apache-2.0
"""A bound of log Z is the other bound of log p, and both sources of error are in its error."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.metrics import Kind, Unit
from jaxml.models import energy
from jaxml.probability.importance import LogMean

BOUND = LogMean(jnp.asarray(3.0), jnp.asarray(0.04), jnp.asarray(50.0))
ENERGIES = jnp.asarray([1.0, 2.0, 4.0])


def test_log_z_keeps_its_kind():
    found = energy.log_partition_evidence(
        BOUND, Kind.LOWER_BOUND, n_chains=100, protocol={"betas": 10}, family="RBM"
    )
    assert (found.value, found.kind, found.unit, found.n) == (3.0, Kind.LOWER_BOUND, Unit.NATS, 100)
    assert found.standard_error == pytest.approx(0.04)
    assert found.quantity == "log Z"


@pytest.mark.parametrize(
    ("of_z", "of_x"),
    [(Kind.LOWER_BOUND, Kind.UPPER_BOUND), (Kind.UPPER_BOUND, Kind.LOWER_BOUND),
     (Kind.EXACT, Kind.EXACT)],
)  # fmt: skip
def test_the_likelihood_has_the_other_kind(of_z, of_x):
    """−mean E − log Z with √(s²/n + se²)."""
    log_z = 3.0 if of_z is Kind.EXACT else BOUND
    found = energy.log_likelihood_evidence(ENERGIES, log_z, of_z, dim=5, protocol={})
    assert found.kind is of_x
    assert found.value == pytest.approx(-7 / 3 - 3)
    spread = np.std([1, 2, 4], ddof=1) / np.sqrt(3)
    error = spread if of_z is Kind.EXACT else np.hypot(spread, 0.04)
    assert found.standard_error == pytest.approx(error)
    assert found.higher_is_better


def test_one_example_has_no_spread():
    with pytest.raises(ValueError, match="energies"):
        energy.log_likelihood_evidence(jnp.ones(1), 0.0, Kind.EXACT, dim=1, protocol={})
