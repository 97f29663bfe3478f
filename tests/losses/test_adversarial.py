# SPDX-License-Identifier: Apache-2.0
"""What the players of a GAN pay: formulas, the value at the best critic, and labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jaxml.losses import adversarial
from jaxml.losses.classification import binary_cross_entropy

GAMES = {
    "saturating": adversarial.saturating(),
    "non-saturating": adversarial.non_saturating(),
    "least squares": adversarial.least_squares(),
    "hinge": adversarial.hinge(),
    "wasserstein": adversarial.wasserstein(),
    "relativistic": adversarial.relativistic(),
    "relativistic average": adversarial.relativistic_average(),
}


def scores(dtype="f8"):
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(0, 3, 50), dtype) for _ in range(2))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


PLAIN = {
    "saturating": (
        lambda r, f: -np.log(sigmoid(r)) - np.log(1 - sigmoid(f)),
        lambda r, f: np.log(1 - sigmoid(f)),
    ),
    "non-saturating": (
        lambda r, f: -np.log(sigmoid(r)) - np.log(1 - sigmoid(f)),
        lambda r, f: -np.log(sigmoid(f)),
    ),
    "least squares": (
        lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2,
        lambda r, f: 0.5 * (f - 1) ** 2,
    ),
    "hinge": (
        lambda r, f: np.maximum(0, 1 - r) + np.maximum(0, 1 + f),
        lambda r, f: -f,
    ),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "relativistic": (
        lambda r, f: -np.log(sigmoid(r - f)),
        lambda r, f: -np.log(sigmoid(f - r)),
    ),
    "relativistic average": (
        lambda r, f: -np.log(sigmoid(r - f.mean())) - np.log(sigmoid(r.mean() - f)),
        lambda r, f: -np.log(sigmoid(f - r.mean())) - np.log(sigmoid(f.mean() - r)),
    ),
}


@pytest.mark.parametrize("name", GAMES)
def test_costs_are_those_of_the_formula(name, x64):
    """Every pair of a real and a generated score has its own cost, to 1e-12."""
    real, fake = scores()
    for ours, plain in zip(GAMES[name], PLAIN[name], strict=True):
        cost = ours(real, fake)
        assert cost.shape == real.shape
        np.testing.assert_allclose(cost, plain(np.asarray(real), np.asarray(fake)), atol=1e-12)


@pytest.mark.parametrize("name", GAMES)
def test_scores_of_any_size_have_finite_costs_and_slopes(name):
    """Logits of ± 300 in single precision: the cost is linear in them at most, never infinite."""
    far = jnp.asarray([-300.0, 300.0, -300.0, 300.0])
    game = GAMES[name]
    for player in game:
        cost, slopes = jax.value_and_grad(lambda pair, player=player: jnp.sum(player(*pair)))(
            (far, far[::-1])
        )
        assert np.isfinite(cost)
        assert all(np.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("name", GAMES)
def test_half_precision_is_widened_before_anything_is_computed(name):
    """The costs of halves are exactly those of the same numbers in single precision."""
    halves = scores("f2")
    wide = tuple(a.astype(jnp.float32) for a in halves)
    for player in GAMES[name]:
        assert player(*halves).dtype == jnp.float32
        np.testing.assert_array_equal(player(*halves), player(*wide))


def normal_log_ratio(mean, variance):
    """log p − log q as a function of x, p = N(0, 1) and q = N(m, v)."""
    return lambda x: -0.5 * x**2 + 0.5 * np.log(variance) + 0.5 * (x - mean) ** 2 / variance


@pytest.mark.parametrize(
    ("mean", "variance", "value"),
    [(0.0, 1.0, -1.386294), (1.0, 1.0, -1.163451), (0.0, 4.0, -1.200828)],
)
def test_the_best_critic_is_the_log_ratio_and_has_the_known_value(mean, variance, value, x64):
    """max_D V = 2 JS − 2 log 2 at D = log p − log q, to 1e-10: N(0, 1) and N(m, v).

    The divergence by SciPy's quadrature from the densities alone; V by the trapezoidal rule, which
    has all digits for such integrands. Moving off the best critic costs, at second order.
    """
    p, q = stats.norm().pdf, stats.norm(mean, np.sqrt(variance)).pdf

    def twice_js(x):
        return sum(f(x) * np.log(2 * f(x) / (p(x) + q(x))) for f in (p, q))

    divergence, _ = integrate.quad(twice_js, -25, 25, epsabs=1e-13, epsrel=1e-13, limit=400)
    assert abs(divergence - 2 * np.log(2) - value) < 1e-6
    x = np.linspace(-25, 25, 5001)
    best, game = normal_log_ratio(mean, variance)(x), adversarial.non_saturating()
    sure = jnp.full(x.shape, 1e4)  # what the other half of the cost does not charge

    def negative_value(direction):
        score = jnp.asarray(best + direction)
        costs = game.critic(score, -sure) * p(x) + game.critic(sure, score) * q(x)
        return float(jnp.sum(costs) * (x[1] - x[0]))

    least = negative_value(0 * x)
    assert abs(-least - (divergence - 2 * np.log(2))) < 1e-10
    for direction in (0.1 + 0 * x, 0.1 * x, -0.1 * np.sin(3 * x)):
        assert negative_value(direction) > least
    step = 1e-5
    slope = negative_value(step * x) - negative_value(-step * x)
    assert abs(slope / (2 * step)) < 1e-8


def test_saturating_and_non_saturating_pull_the_same_way_with_other_strength():
    """Slopes −σ(f) and −σ(−f): where a critic is sure of a fake only the second one pulls."""
    fake = jnp.asarray([-20.0, 0.0, 20.0])
    slopes = [
        jax.grad(lambda f, game=game: jnp.sum(GAMES[game].generator(f, f)))(fake)
        for game in ("saturating", "non-saturating")
    ]
    np.testing.assert_allclose(slopes[0], -sigmoid(np.asarray(fake)), rtol=1e-5)
    np.testing.assert_allclose(slopes[1], -sigmoid(-np.asarray(fake)), rtol=1e-5)


def test_least_squares_takes_its_targets():
    """a for fakes, b for real ones, c for what the generator wants; −1, 1, 0 is Pearson's χ²."""
    game = adversarial.least_squares(fake=-1.0, real=1.0, wanted=0.0)
    real, fake = scores("f4")
    np.testing.assert_allclose(
        game.critic(real, fake), 0.5 * (real - 1) ** 2 + 0.5 * (fake + 1) ** 2, rtol=1e-6
    )
    np.testing.assert_allclose(game.generator(real, fake), 0.5 * fake**2, rtol=1e-6)


def test_costs_by_labels_are_those_of_the_game(x64):
    """1 and 0 with the cross entropy give the critic of the plain GAN, ± 1 that of Wasserstein."""
    real, fake = scores()
    truth = jnp.ones_like(real)
    by_labels = binary_cross_entropy(real, truth) + binary_cross_entropy(fake, 1 - truth)
    plain = adversarial.non_saturating().critic(real, fake)
    np.testing.assert_allclose(by_labels, plain, atol=1e-12)
    by_signs = adversarial.signed(real, truth) + adversarial.signed(fake, -truth)
    np.testing.assert_allclose(by_signs, adversarial.wasserstein().critic(real, fake), atol=1e-12)
    np.testing.assert_array_equal(adversarial.signs(jnp.asarray([1.0, 0.0])), [1, -1])
    np.testing.assert_allclose(
        jnp.mean(adversarial.labelled(real, fake, truth, 1 - truth)), plain.mean(), rtol=1e-12
    )


def test_smoothing_is_one_sided():
    """Labels of real examples move away from 1; those of generated ones stay 0."""
    labels = jnp.asarray([1.0, 0.0, 1.0])
    np.testing.assert_allclose(adversarial.one_sided(labels, 0.1), [0.9, 0, 0.9], rtol=1e-6)


def test_noise_on_labels_is_uniform_and_stays_a_probability():
    """Between 1 − a and 1 for real ones and 0 and a for others; means and variances, 4.5 s.e."""
    n = 20_000
    labels = jnp.tile(jnp.asarray([1.0, 0.0]), n)
    noisy = np.asarray(adversarial.noisy(labels, jax.random.key(0), 0.3)).reshape(n, 2)
    distance = np.abs(noisy - [1, 0])
    assert (noisy >= 0).all()
    assert (noisy <= 1).all()
    assert distance.max() <= 0.3
    assert (np.abs(distance.mean(0) - 0.15) < 4.5 * 0.3 / np.sqrt(12 * n)).all()
    np.testing.assert_allclose(distance.var(0), 0.09 / 12, rtol=0.05)


def test_flips_change_a_share_of_the_labels_and_nothing_else():
    n = 20_000
    labels = jnp.tile(jnp.asarray([1.0, 0.0]), n)
    flipped = np.asarray(adversarial.flipped(labels, jax.random.key(0), 0.05))
    share = (flipped != np.asarray(labels)).reshape(n, 2).mean(0)
    assert set(np.unique(flipped)) == {0.0, 1.0}
    assert (np.abs(share - 0.05) < 4.5 * np.sqrt(0.05 * 0.95 / n)).all()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: adversarial.one_sided(jnp.ones(2), 1.0), "amount"),
        (lambda: adversarial.noisy(jnp.ones(2), jax.random.key(0), -0.1), "amount"),
        (lambda: adversarial.flipped(jnp.ones(2), jax.random.key(0), 1.1), "rate"),
    ],
)
def test_bad_numbers_are_refused(call, name):
    with pytest.raises(ValueError, match=name):
        call()
