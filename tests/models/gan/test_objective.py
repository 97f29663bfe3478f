# SPDX-License-Identifier: Apache-2.0
"""GANs on problems with known answers: losses by hand, who learns from which, and Wasserstein."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from jaxml.losses import adversarial, critic_penalty
from jaxml.models import gan
from jaxml.optimizers import adam
from jaxml.training import descend, ensemble, fit, only, take_turns
from jaxml.types import Batches


class Linear(nnx.Module):
    """w x + b, the context added; scores have no axis of features."""

    def __init__(self, w, b, *, scores=False):
        self.w, self.b, self.scores = nnx.Param(jnp.asarray(w)), nnx.Param(jnp.asarray(b)), scores

    def __call__(self, x, context=None):
        y = x @ self.w[...] + self.b[...][None]
        y = y if context is None else y + context
        return y[:, 0] if self.scores else y


def model(w=((0.5, 0.1), (0.0, 2.0)), v=((1.0,), (-1.0,))):
    return gan.GAN(Linear(w, (1.0, 0.0)), Linear(v, (0.3,), scores=True), n_latent=2)


def data(n=64):
    return jnp.asarray(np.random.default_rng(0).normal(size=(n, 2)), jnp.float32)


def scores(model, x):
    return np.asarray(x @ model.critic.w[...] + model.critic.b[...][None])[:, 0]


@pytest.mark.parametrize("name", ["non_saturating", "wasserstein", "relativistic", "hinge"])
def test_losses_are_means_of_the_game(name):
    """Within the noise of other fakes than those of the loss: 4.5 standard errors."""
    net, x, game = model(), data(4096), getattr(adversarial, name)()
    value, metrics = gan.critic_loss(net, x, jax.random.key(0), game=game)
    fake = gan.sample(net, jax.random.key(5), 4096)
    expected = np.asarray(game.critic(*(jnp.asarray(scores(net, a)) for a in (x, fake))))
    assert abs(value - expected.mean()) < 4.5 * 2 * expected.std() / 64
    assert abs(metrics["real"] - scores(net, x).mean()) < 1e-5
    np.testing.assert_allclose(metrics["margin"], metrics["real"] - metrics["fake"], rtol=1e-5)
    paid, _ = gan.generator_loss(net, x, jax.random.key(1), game=game)
    expected = np.asarray(game.generator(*(jnp.asarray(scores(net, a)) for a in (x, fake))))
    assert abs(paid - expected.mean()) < 4.5 * 2 * expected.std() / 64


def test_the_penalty_is_added_with_its_weight():
    net, x = model(), data()
    plain, _ = gan.critic_loss(net, x, jax.random.key(0))
    penalty = critic_penalty.zero_centred(3.0, 1.0)
    value, metrics = gan.critic_loss(net, x, jax.random.key(0), penalty=penalty)
    np.testing.assert_allclose(metrics["penalty"], 0.5 * 4.0 * 2.0, rtol=1e-5)  # |∇D|² = 2
    np.testing.assert_allclose(value - plain, metrics["penalty"], rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "learns", "stays"),
    [(gan.critic_loss, "critic", "generator"), (gan.generator_loss, "generator", "critic")],
)
def test_each_player_learns_from_its_own_loss_only(loss, learns, stays):
    """`only` says who: all its numbers move, and none of the other's."""
    net, x = model(), data()
    rule = descend(loss, adam(0.1), wrt=only(learns))
    after, _, _ = rule.update(net, rule.init(net, jax.random.key(0)), x, jax.random.key(1))
    assert (getattr(after, learns).w[...] != getattr(net, learns).w[...]).all()
    np.testing.assert_array_equal(getattr(after, stays).w[...], getattr(net, stays).w[...])


def test_labels_replace_ones_and_zeros():
    """One-sided smoothing has the cross entropy with 0.9 and 0."""
    net, x = model(), data()
    labels = lambda labels, key: adversarial.one_sided(labels, 0.1)  # noqa: E731
    value, metrics = gan.critic_loss(net, x, jax.random.key(0), labels=labels)
    plain, _ = gan.critic_loss(net, x, jax.random.key(0), game=adversarial.non_saturating())
    # y → 0.9 y changes the mean cost by 0.1 of the mean score.
    np.testing.assert_allclose(value, plain + 0.1 * metrics["real"], rtol=1e-5)


def test_augmentation_meets_real_and_generated_examples():
    """Both are moved: the critic's scores move by the same number."""
    net, x = model(v=((1.0,), (0.0,))), data()
    plain = gan.critic_loss(net, x, jax.random.key(0))[1]
    moved = gan.critic_loss(net, x, jax.random.key(0), augment=lambda x, key: x + 5.0)[1]
    np.testing.assert_allclose(moved["real"] - plain["real"], 5, rtol=1e-5)
    np.testing.assert_allclose(moved["fake"] - plain["fake"], 5, rtol=1e-5)


def test_a_conditional_model_gives_its_context_to_both():
    net, x = model(), data()
    context = jnp.full((64, 1), 2.0)
    plain = gan.critic_loss(net, x, jax.random.key(0))[1]
    told = gan.critic_loss(net, {"x": x, "y": context}, jax.random.key(0))[1]
    np.testing.assert_allclose(told["real"] - plain["real"], 2, rtol=1e-5)
    # The generator's shift of 2 in both numbers cancels in this critic, the critic's own stays.
    np.testing.assert_allclose(told["fake"] - plain["fake"], 2, rtol=1e-4)
    drawn = [gan.sample(net, jax.random.key(3), 64, context=c) for c in (None, context)]
    np.testing.assert_allclose(drawn[1] - drawn[0], 2, rtol=1e-5)


def test_draws_have_the_law_of_the_generator_and_truncation_its_bound():
    net = model(w=((1.0, 0.0), (0.0, 1.0)))
    x = np.asarray(gan.sample(net, jax.random.key(0), 20_000)) - [1.0, 0.0]
    assert (np.abs(x.mean(0)) < 4.5 / np.sqrt(20_000)).all()
    np.testing.assert_allclose(x.var(0), 1, atol=4.5 * np.sqrt(2 / 20_000))
    cut = np.asarray(gan.sample(net, jax.random.key(0), 2000, truncation=0.5)) - [1.0, 0.0]
    assert 0.45 < np.abs(cut).max() <= 0.5
    with pytest.raises(ValueError, match="truncation"):
        gan.sample(net, jax.random.key(0), 2, truncation=0.0)
    with pytest.raises(ValueError, match="n_latent"):
        gan.GAN(net.generator, net.critic, 0)


def normal_batches(mean, scale, n):
    """Fresh draws of N(mean, scale²) at every step."""

    def take(key, index, offset):
        del offset
        return mean + scale * jax.random.normal(jax.random.fold_in(key, index), (n, 1))

    return Batches(lambda first, n, capacity: jax.random.key(7), take, {})


class Small(nnx.Module):
    """A critic of one number, smooth."""

    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(1, 32, rngs=rngs), nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x, context=None):
        return self.last(jax.nn.softplus(4 * self.first(x)))[:, 0]


def last_of(run):
    """The model and the metrics with which a run ends."""
    for _, model, _, metrics in run:
        last = model, metrics
    return last


def test_a_critic_under_the_gradient_penalty_measures_the_shift():
    """N(0.5, 1) against a generator held at N(0, 1): the margin is W_1 = 0.5 within 5 %."""
    net = gan.GAN(Linear(((1.0,),), (0.0,)), Small(nnx.Rngs(0)), n_latent=1)
    loss = partial(
        gan.critic_loss, game=adversarial.wasserstein(), penalty=critic_penalty.interpolated()
    )
    rule = descend(loss, adam(3e-3), wrt=only("critic"))
    batches = normal_batches(0.5, 1.0, 256)
    _, metrics = last_of(fit(rule, net, batches, jax.random.key(0), steps=2000, chunk=1000))
    assert abs(metrics["margin"].mean() - 0.5) < 0.025


def test_a_trained_critic_has_the_value_of_the_game():
    """2 JS − 2 log 2 within 0.01 and never above: N(0, 1) against N(0, 1), N(1, 1) and N(0, 4)."""
    scales, means = jnp.asarray([1.0, 1.0, 2.0]), jnp.asarray([0.0, 1.0, 0.0])

    def make(scale, mean, key):
        return gan.GAN(Linear(scale[None, None], mean[None]), Small(nnx.Rngs(key)), n_latent=1)

    nets = jax.vmap(make)(scales, means, jax.random.split(jax.random.key(3), 3))
    loss = partial(gan.critic_loss, game=adversarial.non_saturating())
    optimizer = adam(lambda step: 1e-2 * 0.5 * (1 + jnp.cos(jnp.pi * step / 800.0)))
    rule = ensemble(descend(loss, optimizer, wrt=only("critic")), 3)
    batches = normal_batches(0.0, 1.0, 1024)
    after, _ = last_of(fit(rule, nets, batches, jax.random.key(0), steps=800, chunk=400))
    x = jnp.linspace(-12, 12, 2001)
    score = np.asarray(jax.vmap(lambda critic: critic(x[:, None]))(after.critic), np.float64)
    softplus = lambda s: np.logaddexp(0, s)  # noqa: E731
    for i, value in enumerate([-1.386294, -1.163451, -1.200828]):
        fake = stats.norm(means[i], scales[i]).pdf(x)
        costs = stats.norm.pdf(x) * softplus(-score[i]) + fake * softplus(score[i])
        reached = -np.sum(costs) * 0.012
        assert value - 0.01 < reached < value + 1e-5


def test_generator_and_critic_find_the_law_together():
    """The generator's law is N(2, 0.5²) within 0.05 of W_1, which is at most |Δμ| + 0.8 |Δσ|."""
    net = gan.GAN(Linear(((1.0,),), (0.0,)), Small(nnx.Rngs(0)), n_latent=1)
    critic = partial(gan.critic_loss, penalty=critic_penalty.zero_centred(0.1, 0.1))
    rule = take_turns(
        2,
        critic=descend(critic, adam(3e-3, b1=0.5), wrt=only("critic")),
        generator=descend(gan.generator_loss, adam(3e-3, b1=0.5), wrt=only("generator")),
    )
    batches = normal_batches(2.0, 0.5, 512)
    after, _ = last_of(fit(rule, net, batches, jax.random.key(0), steps=2000, chunk=1000))
    mean, scale = float(after.generator.b[...][0]), abs(float(after.generator.w[...][0, 0]))
    assert abs(mean - 2) + 0.8 * abs(scale - 0.5) < 0.05
