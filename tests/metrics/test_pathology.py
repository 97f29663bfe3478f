# SPDX-License-Identifier: Apache-2.0
"""Pathologies told by name: from histories made up, and from games spoiled on purpose."""

import importlib
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from jaxml.data import digits, in_memory, toy
from jaxml.losses import critic_penalty
from jaxml.metrics import mode_coverage, pathology
from jaxml.models import gan
from jaxml.optimizers import adam
from jaxml.training import descend, fit, only, take_turns
from jaxml.types import Batches

WELL = np.full(300, 0.55), np.full(300, 0.95)


def names(*args, **options):
    return [finding.name for finding in pathology.diagnose(*args, **options)]


def test_a_game_that_goes_well_has_no_finding():
    assert names(*WELL) == []
    assert names(*WELL, covered=1.0) == []


@pytest.mark.parametrize(
    ("ahead", "spread", "covered", "name"),
    [
        (0.99, 0.9, None, "critic dominance"),
        (0.2, 0.9, None, "generator dominance"),
        (0.6, 0.1, None, "mode collapse"),
        (0.6, 0.9, 0.25, "mode collapse"),
    ],
)
def test_each_pathology_has_its_name_and_remedies(ahead, spread, covered, name):
    """The last steps count, the beginning does not; every remedy in brackets is a thing of ours."""
    history = [np.concatenate([well, np.full(100, bad)]) for well, bad in
               zip(WELL, (ahead, spread), strict=True)]  # fmt: skip
    (found,) = pathology.diagnose(*history, covered=covered)
    assert found.name == name
    assert "%" in found.evidence
    assert len(found.remedies) >= 3
    late = [np.concatenate([bad[-100:], well]) for bad, well in zip(history, WELL, strict=True)]
    assert names(*late) == []


def test_remedies_name_functions_that_exist():
    """`losses.adversarial.noisy, flipped` in brackets are two functions of one module."""
    remedies = [remedy for name, value in vars(pathology).items() if name.isupper()
                for remedy in value]  # fmt: skip
    found = 0
    for names in re.findall(r"\(([^)]*)\)", " ".join(remedies)):
        owner = "jaxml.training"
        for name in names.split(", "):
            *path, last = name.split(".")
            owner = ".".join(["jaxml", *path]) if path else owner
            assert callable(getattr(importlib.import_module(owner), last)), name
            found += 1
    assert found > 8


def test_a_loss_is_compared_with_quality_by_ranks():
    """Spearman's correlation, ties included, against SciPy."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        losses, distances = rng.integers(0, 6, 12), rng.normal(size=12)
        expected = stats.spearmanr(losses, distances).statistic
        found = pathology.loss_against_quality(list(losses), list(distances))
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert pathology.loss_against_quality([1, 1, 1], [1, 2, 3]) == 0
    assert pathology.uninformative(0.1)[0].name == "uninformative loss"
    assert pathology.uninformative(0.8) == []
    with pytest.raises(ValueError, match="losses"):
        pathology.loss_against_quality([1, 2], [1, 2])


def test_empty_histories_are_refused():
    with pytest.raises(ValueError, match="ahead"):
        pathology.diagnose([], [1.0])
    assert pathology.diagnose() == []
    assert names(covered=0.2) == ["mode collapse"]


def players(n, n_latent):
    return gan.mlp(n, (64, 64), n_latent, rngs=nnx.Rngs(1))


def turns(critic_rate, generator_rate, penalty=None):
    critic = partial(gan.critic_loss, penalty=penalty)
    return take_turns(
        1,
        critic=descend(critic, adam(critic_rate, b1=0.5), wrt=only("critic")),
        generator=descend(gan.generator_loss, adam(generator_rate, b1=0.5), wrt=only("generator")),
    )


def played(rule, model, batches, steps):
    """The model and all metrics of a run."""
    run = list(fit(rule, model, batches, jax.random.key(0), steps=steps, chunk=100))
    rows = [metrics for _, _, _, metrics in run]
    return run[-1][1], {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def test_collapse_on_purpose_is_told_by_name():
    """A critic that is held for 500 steps of the generator, which goes where it likes best."""
    ring, n = toy.gaussian_ring(), 256

    def take(key, index, offset):
        del offset
        return ring.sample(jax.random.fold_in(key, index), n)

    batches = Batches(lambda first, n, capacity: jax.random.key(7), take, {})
    turn = np.arange(8) * np.pi / 4
    centers = jnp.asarray(8**0.5 * np.stack([np.cos(turn), np.sin(turn)], 1), jnp.float32)

    def told(model, metrics, spread):
        found = mode_coverage(gan.sample(model, jax.random.key(3), 1000), centers, 8**-0.5)
        return names(
            metrics.get("critic/ahead"), metrics[spread], covered=float(found.effective) / 8
        )

    rule = turns(1e-3, 1e-3, critic_penalty.zero_centred(0.1, 0.1))
    model, metrics = played(rule, players(2, 2), batches, 300)
    assert told(model, metrics, "generator/spread") == []
    alone = descend(gan.generator_loss, adam(5e-3, b1=0.5), wrt=only("generator"))
    model, metrics = played(alone, model, batches, 500)
    assert told(model, metrics, "spread") == ["mode collapse"]


def test_a_critic_with_ten_times_the_rate_is_told_by_name():
    """On digits; and with equal rates it is not."""
    images = 2 * np.asarray(digits()[0]["x"], np.float32).reshape(-1, 64) - 1
    batches = in_memory(images, 64, jax.random.key(1))
    for rate, expected in ((5e-4, []), (5e-3, ["critic dominance"])):
        _, metrics = played(turns(rate, 5e-4), players(64, 16), batches, 600)
        assert names(metrics["critic/ahead"], metrics["generator/spread"]) == expected
