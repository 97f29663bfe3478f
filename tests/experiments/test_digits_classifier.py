# SPDX-License-Identifier: Apache-2.0
"""Laws of the classifier: what it is trained on, and what is measured of it."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from experiments import command, digits_classifier, sample
from experiments.digits_classifier import Net, diagnose, draw, evaluate, loss, validate

RNG = np.random.default_rng(4)
X = RNG.uniform(size=(12, 8, 8, 1)).astype(np.float32)
Y = RNG.integers(10, size=12).astype(np.int32)
BATCH = {"x": jnp.asarray(X), "y": jnp.asarray(Y)}


@pytest.fixture(scope="module")
def net():
    return Net((4, 4, 8), 0.5, rngs=nnx.Rngs(0))


def test_the_loss_is_the_smoothed_cross_entropy_of_training(net):
    """−Σ ((1 − α) onehot + α/10) log softmax, with the logits of the batch's own moments."""
    key = jax.random.key(1)
    value, metrics = jax.jit(lambda net: loss(net, BATCH, key, smoothing=0.1))(net)
    logits = np.asarray(jax.jit(lambda net: net(BATCH["x"], jax.random.key(1)))(net))
    target = 0.9 * np.eye(10)[Y] + 0.01
    np.testing.assert_allclose(value, -(target * log_softmax(logits, -1)).sum(-1).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(logits.argmax(-1) == Y), rtol=1e-6)


def test_evaluation_draws_no_noise_and_changes_nothing(net):
    """Without a key the logits of an example do not depend on its batch."""
    one = jax.jit(lambda net, x: net(x))
    np.testing.assert_allclose(one(net, X)[:3], one(net, X[:3]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.norms[0].mean[...], 0)


def test_what_is_measured_is_measured_right(net):
    """Accuracy and cross entropy are those of NumPy; progress reaches the last example."""
    seen = []
    found = evaluate({"data": "noise"}, {"x": X, "y": Y}, net, jax.random.key(0), seen.append)
    logits = np.asarray(jax.jit(lambda net: net(BATCH["x"]))(net))
    accuracy, cost, calibration = found
    np.testing.assert_allclose(accuracy.value, np.mean(logits.argmax(-1) == Y))
    expected = -log_softmax(logits, -1)[np.arange(12), Y].mean()
    np.testing.assert_allclose(cost.value, expected, rtol=1e-5)
    assert not cost.higher_is_better
    assert 0 <= calibration.value <= 1
    assert seen[-1] == 12
    held_out = validate({"x": X, "y": Y}, net, jax.random.key(0))
    np.testing.assert_allclose(held_out["loss"], expected, rtol=1e-5)


def test_the_hardest_come_first_and_confusions_are_told(net):
    """The sheet is ordered by cost; every wrong prediction is named."""
    batch = {"x": X, "y": Y}
    logits = np.asarray(jax.jit(lambda net: net(BATCH["x"]))(net))
    cost = -log_softmax(logits, -1)[np.arange(12), Y]
    sheets = draw(batch, net, jax.random.key(0))
    np.testing.assert_array_equal(sheets["hardest"].images, X[np.argsort(-cost), ..., 0])
    guesses, classes = logits.argmax(-1), range(10)
    shares = [[np.mean(guesses[i == Y] == j) if i in Y else 0 for j in classes] for i in classes]
    np.testing.assert_allclose(sheets["confusion"].images[0], shares, rtol=1e-6)
    wrong = [f"{y} taken for {p}" for y, p in zip(Y, guesses, strict=True) if y != p]
    told = diagnose(batch, net, jax.random.key(0))["validation split"]
    assert wrong
    assert told == ", ".join(wrong)


def test_moved_images_keep_their_labels():
    """A shift of at most one pixel: the inner part of every image is found again in it."""
    moved = digits_classifier.moved(BATCH, jax.random.key(2))
    np.testing.assert_array_equal(moved["y"], Y)
    for image, origin in zip(np.asarray(moved["x"]), X, strict=True):
        places = [(i, j) for i in range(3) for j in range(3)]
        assert any(np.array_equal(image[i : i + 6, j : j + 6], origin[1:7, 1:7]) for i, j in places)


def test_there_is_nothing_to_sample(monkeypatch, capsys):
    """`sample` of a classifier is refused in one line, before a checkpoint is read."""
    built = SimpleNamespace(experiment=SimpleNamespace(sample=None), name="digits_classifier")
    monkeypatch.setattr(sample, "reopen", lambda *args: built)
    assert command.run("sample", ["run"]) == 2
    assert capsys.readouterr().err.startswith("error: sample: digits_classifier is no generative")
