# SPDX-License-Identifier: Apache-2.0
"""What is said of a generator whose images are known."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import dcgan_digits, judge
from experiments import gan_image_outcome as outcome
from experiments.digits_images import LEVELS, digits_images
from jaxml.data import digits
from jaxml.models import gan
from jaxml.training import fit

IMAGES = digits_images()
VIEW = outcome.View(IMAGES, LEVELS, judge.of_digits)


def model_of(images):
    """A generator that draws these images, each as likely as the others."""
    table = jnp.asarray(2 * images.astype("f4") / (LEVELS - 1) - 1)

    def generator(z, context=None):
        place = jax.scipy.stats.norm.cdf(z[:, 0]) * float(len(table))
        return table[jnp.minimum(place.astype(jnp.int32), len(table) - 1)]

    return gan.GAN(generator, lambda x, context=None: x.mean((1, 2, 3)), 1)


def judged(images):
    found = outcome.evaluate(VIEW, 200, model_of(images), jax.random.key(0), lambda n: None)
    return {evidence.quantity: evidence.value for evidence in found}


def test_whole_numbers_come_back():
    x = np.arange(LEVELS, dtype=np.uint8).reshape(-1, 1, 1, 1)
    y = outcome.real(LEVELS, jnp.asarray(x), jax.random.key(0))
    assert y.min() == -1
    assert y.max() == 1
    np.testing.assert_array_equal(outcome.whole(LEVELS, np.asarray(y)), x)


def test_a_generator_of_training_images_is_caught_and_one_of_others_is_not():
    assert judged(IMAGES.train[:50])["memorized draws"] == 200
    assert judged(IMAGES.valid[:50])["memorized draws"] <= 8


def test_progress_ends_at_the_number_of_images_compared():
    told = []
    outcome.evaluate(VIEW, 200, model_of(IMAGES.valid), jax.random.key(0), told.append)
    assert told[-1] == 200 + len(IMAGES.test)
    assert told == sorted(told)


def test_spread_and_distance_are_those_of_the_data():
    """A spread of 1 for the data themselves and 0 for one image, which is far away."""
    seen = [
        outcome.validate(VIEW, model_of(x), jax.random.key(0))
        for x in (IMAGES.valid, IMAGES.valid[:1])
    ]
    np.testing.assert_allclose([look["spread"] for look in seen], [1, 0], atol=0.05)
    assert seen[0]["distance"] < 0.05 * seen[1]["distance"]


def table_of_classes(images, classes):
    """A conditional generator that draws the image of its class."""
    table = jnp.asarray(2 * images.astype("f4") / (LEVELS - 1) - 1)
    which = jnp.asarray(classes)
    return gan.GAN(
        lambda z, context: table[which[jnp.argmax(context, -1)]],
        lambda x, context: x.mean((1, 2, 3)),
        1,
    )


def test_draws_of_a_conditional_model_are_of_the_classes_asked_for():
    """All agree for a generator that knows its classes, two in ten less if two are exchanged."""
    x, y = IMAGES.train, digits()[0]["y"]
    seen = judge.classes(judge.of_digits(), x / (LEVELS - 1))
    clear = np.array([np.flatnonzero((y == k) & (seen == k))[0] for k in range(10)])
    view = VIEW._replace(labels=y)
    exchanged = clear[[1, 0, *range(2, 10)]]
    shares = []
    for which in (clear, exchanged):
        model = table_of_classes(x, which)
        found = outcome.evaluate(view, 200, model, jax.random.key(0), lambda n: None)
        shares.append({e.quantity: e.value for e in found}["draws of the class asked for"])
    np.testing.assert_allclose(shares, [1, 0.8])
    sheet = outcome.sample(view, table_of_classes(x, clear), jax.random.key(0), 20)
    assert sheet.columns == 10
    np.testing.assert_array_equal(sheet.images[:10], sheet.images[10:])


def test_labels_become_rows_with_one_one():
    batch = {"x": jnp.zeros((2, 1, 1, 1), jnp.uint8), "y": jnp.asarray([3, 0])}
    told = outcome.real(LEVELS, batch, jax.random.key(0))
    np.testing.assert_array_equal(told["y"], np.eye(10)[[3, 0]])
    assert (told["x"] == -1).all()


def test_both_players_learn_to_the_last_step():
    """Rates fall to 0 over each player's own updates: with five for one the critic still moves."""
    options = dcgan_digits.Config(steps=4, batch_size=4, save_every=2, look_every=4)
    model = gan.convolutional((8, 8, 1), (2, 2), 4, 2, rngs=nnx.Rngs(0))
    losses = partial(gan.critic_loss), partial(gan.generator_loss)
    built = outcome.experiment(model, VIEW, *losses, options, n_critic=5)
    key = jax.random.key(0)
    state = built.rule.init(model, key)
    steps = fit(built.rule, model, built.batches, key, steps=4, state=state, chunk=1)
    # Copies: the loop gives the memory of a model to the next one.
    models = [jax.tree.map(np.array, {"c": m.critic, "g": m.generator}) for _, m, _, _ in steps]
    for before, after in itertools.pairwise(models):
        for player in ("c", "g"):
            pair = (jax.tree.leaves(both[player]) for both in (before, after))
            assert max(np.abs(a - b).max() for a, b in zip(*pair, strict=True)) > 1e-6
