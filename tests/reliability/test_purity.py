# SPDX-License-Identifier: Apache-2.0
"""Steps, losses and samples draw from their keys alone: no global generator, no clock."""

import random
import sys
import time

import jax
import numpy as np
import pytest

from experiments import experiment, vae_digits
from jaxml.training.fit import fit

NAMES = ("vae_digits", "vae_mnist")
SMALL = {"width": 8, "n_samples": 2, "steps": 6, "batch_size": 50}


class ImpureError(AssertionError):
    """Somebody asked the world."""


def forbid(monkeypatch):
    """Make every global generator and the clock raise; JAX may time its own compiler."""

    def raising(name, function):
        def asked(*args, **kwargs):
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.split(".")[0] in ("jax", "jaxlib"):
                return function(*args, **kwargs)
            raise ImpureError(f"{name} was called from {caller}")

        return asked

    for module, prefix in ((np.random, "numpy.random"), (random, "random")):
        for name in dir(module):
            function = getattr(module, name)
            if not name.startswith("_") and callable(function):
                monkeypatch.setattr(module, name, raising(f"{prefix}.{name}", function))
    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, raising(f"time.{name}", getattr(time, name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_step_loss_or_sample_asks_the_world(request, monkeypatch, name):
    """Traced, compiled and executed with numpy.random, random and time.time made to raise."""
    if name == "vae_mnist":
        request.getfixturevalue("mnist")
    module = experiment.find(name)
    config = module.Config(**{**module.TINY, **SMALL})
    built = module.build(config, None)
    forbid(monkeypatch)
    jax.clear_caches()  # whatever was traced before is traced again
    key = jax.random.key(0)
    start = built.rule.init(built.model, jax.random.fold_in(key, 0))
    steps = fit(built.rule, built.model, built.batches, key, steps=6, state=start, chunk=3)
    last = None
    for last in steps:
        assert np.isfinite(last[3]["learn/loss"]).all()
    learned = built.learned(*last[1:3])
    assert built.sample(learned, jax.random.key(1), 4).images.shape[0] == 4
    assert built.draw(learned, jax.random.key(2))
    assert built.validate(learned, jax.random.key(3))
    assert built.evaluate(learned, jax.random.key(4), lambda n: None)
    assert built.diagnose(learned, jax.random.key(5))


def test_the_patch_would_notice(monkeypatch):
    """The instrument: a call of ours raises, inside a trace too."""
    forbid(monkeypatch)

    def impure(x):
        return x + np.random.normal()  # noqa: NPY002

    with pytest.raises(ImpureError, match=r"numpy\.random\.normal"):
        jax.jit(impure)(1.0)
    for ask in (random.random, time.time, np.random.default_rng):
        with pytest.raises(ImpureError):
            ask()


def test_the_same_key_gives_the_same_model():
    """Initialization is a function of the seed: two builds agree bit for bit, another seed not."""
    config = vae_digits.Config(width=4)
    first, second = (vae_digits.build(config, None).model for _ in range(2))
    other = vae_digits.build(vae_digits.Config(width=4, seed=1), None).model
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first, second)
    assert all(jax.tree.leaves(same))
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first, other)
    assert not all(jax.tree.leaves(same))
