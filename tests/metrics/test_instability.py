# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with chains is told by name: from made-up histories, and from a run spoiled."""

import importlib
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.metrics import instability
from jaxml.models import energy
from jaxml.nn import MLP
from jaxml.optimizers import adam
from jaxml.training import descend

WELL = np.full(300, 0.1), np.full(300, 0.2), np.full(300, 0.9)


def names(*args, **options):
    return [finding.name for finding in instability.diagnose(*args, **options)]


def test_a_run_that_goes_well_has_no_finding():
    assert names(*WELL) == []
    assert names(*WELL[:2], saturated=0.1) == []


@pytest.mark.parametrize(
    ("real", "fake", "spread", "saturated", "name"),
    [
        (70.0, 71.0, 0.9, None, "drifting energies"),
        (6.0, -6.0, 0.9, None, "chains outrun"),
        (-6.0, 6.0, 0.9, None, "chains stranded"),
        (0.1, 0.2, 0.2, None, "chains collapsed"),
        (0.1, 0.2, 0.9, 0.8, "chains at the bounds"),
    ],
)
def test_each_has_its_name_and_remedies(real, fake, spread, saturated, name):
    """The last steps count, the beginning does not."""
    history = [np.concatenate([well, np.full(100, bad)])
               for well, bad in zip(WELL, (real, fake, spread), strict=True)]  # fmt: skip
    (found,) = instability.diagnose(*history, saturated=saturated)
    assert found.name == name
    assert re.search(r"nats|%", found.evidence)
    assert len(found.remedies) >= 3
    late = [np.concatenate([bad[-100:], well]) for bad, well in zip(history, WELL, strict=True)]
    assert names(*late) == []


def test_a_number_that_is_none_is_told_with_its_step():
    real = WELL[0].copy()
    real[7] = np.nan
    (found,) = instability.diagnose(real, *WELL[1:])
    assert found.name == "divergence"
    assert "step 7" in found.evidence


def test_remedies_name_things_that_exist():
    """Every dotted name in brackets is one of ours."""
    remedies = [r for name, value in vars(instability).items() if name.isupper() for r in value]
    found = re.findall(r"\b((?:losses|optimizers|nn|models)(?:\.[A-Za-z_]+)+)", " ".join(remedies))
    assert len(found) >= 8
    for path in found:
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(f"jaxml.{module}"), name)), path


def test_a_run_without_anything_to_hold_it_is_told_by_name():
    """A learning rate a thousand times too large and no α: energies drift off.

    The same run with a sound rate and α = 0.1 has no finding.
    """
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (64, 2)), jnp.float32)

    def history(rate, alpha):
        net = energy.EnergyModel(MLP(2, [16], 1, rngs=nnx.Rngs(0)))
        loss = partial(energy.contrastive_loss, alpha=alpha)
        fresh = lambda key, n: jax.random.uniform(key, (n, 2), minval=-1.0)  # noqa: E731
        walk = partial(energy.langevin, n_steps=5, step_size=0.02, noise=None, clip=None)
        rule = energy.rule(descend(loss, adam(rate)), walk, fresh, size=128)

        def step(carry, i):
            net, state, metrics = rule.update(*carry, x, jax.random.fold_in(jax.random.key(1), i))
            return (net, state), [metrics[name] for name in ("real", "fake", "spread")]

        state = rule.init(net, jax.random.key(0))
        return jax.jit(lambda c: jax.lax.scan(step, c, jnp.arange(150))[1])((net, state))

    assert "drifting energies" in names(*history(3.0, 0.0))
    assert names(*history(0.003, 0.1)) == []


def test_histories_of_unlike_lengths_are_refused():
    for bad in (([1.0], [1.0, 2.0]), ([], []), ([[1.0]], [[1.0]])):
        with pytest.raises(ValueError, match="a number a step"):
            instability.diagnose(*bad)
    with pytest.raises(ValueError, match="window"):
        instability.diagnose([1.0], [1.0], window=0)
