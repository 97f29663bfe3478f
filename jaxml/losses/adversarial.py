# SPDX-License-Identifier: Apache-2.0
"""What the two players of a GAN pay, from the critic's scores of real and generated examples.

A score is a real number and rises with how real an example looks; for the games with a logarithm it
is the log-odds of being real. Labels are 1 for real and 0 for generated examples; `signs` turns
them into the +1 and −1 of the Wasserstein critic. Every cost is one number a pair.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.losses.classification import binary_cross_entropy
from jaxml.numerics import softplus, widen_all
from jaxml.types import Key

Scores = Float[Array, "n"]
Cost = Callable[[Scores, Scores], Scores]


class Game(NamedTuple):
    """The costs of both players, `(real, fake) -> cost`, a number for every pair of scores.

    The constructors below are cached: equal options give the same object.

    Attributes:
      critic: of the critic, which learns to tell real from generated examples.
      generator: of the generator; real scores matter to it in the relativistic games only.
    """

    critic: Cost
    generator: Cost


def _game(critic: Cost, generator: Cost) -> Game:
    """Both costs of scores in single precision at least."""

    def wide(cost: Cost) -> Cost:
        return lambda real, fake: cost(*widen_all(real, fake))

    return Game(wide(critic), wide(generator))


@cache
def saturating() -> Game:
    """−log σ(r) − log σ(−f), and log σ(−f) for the generator: the zero-sum game.

    With the best critic, r = log p/q, its value is 2 JS(p, q) − 2 log 2. The generator's slope is
    −σ(f), which is lost where the critic is sure.

    Reference: Goodfellow et al. 2014, equation 1 and theorem 1, arXiv:1406.2661.
    """
    return _game(_tell_apart, lambda real, fake: -softplus(fake))


@cache
def non_saturating() -> Game:
    """−log σ(r) − log σ(−f), and −log σ(f) for the generator, whose slope −σ(−f) is never lost.

    Reference: Goodfellow et al. 2014, section 3, arXiv:1406.2661.
    """
    return _game(_tell_apart, lambda real, fake: softplus(-fake))


@cache
def least_squares(fake: float = 0.0, real: float = 1.0, wanted: float = 1.0) -> Game:
    """½ (r − b)² + ½ (f − a)², and ½ (f − c)² for the generator.

    With b − c = 1 and b − a = 2 it is Pearson's χ² between p + q and 2q that falls.

    Args:
      fake: a.
      real: b.
      wanted: c.

    Reference: Mao et al. 2017, equation 2, arXiv:1611.04076.
    """
    return _game(
        lambda r, f: 0.5 * (jnp.square(r - real) + jnp.square(f - fake)),
        lambda r, f: 0.5 * jnp.square(f - wanted),
    )


@cache
def hinge() -> Game:
    """max(0, 1 − r) + max(0, 1 + f), and −f for the generator.

    Reference: Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, equations 16 and 17,
    arXiv:1802.05957.
    """
    return _game(
        lambda real, fake: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake),
        lambda real, fake: -fake,
    )


@cache
def wasserstein() -> Game:
    """f − r, and −f for the generator; for a critic that is 1-Lipschitz −cost estimates W_1.

    Reference: Arjovsky et al. 2017, algorithm 1, arXiv:1701.07875.
    """
    return _game(lambda real, fake: fake - real, lambda real, fake: -fake)


@cache
def relativistic() -> Game:
    """−log σ(r − f), and −log σ(f − r): each real example against one generated.

    With penalties on the gradients at real and generated data the game has a local convergence
    guarantee, and it does not reward dropped modes.

    Reference: Jolicoeur-Martineau 2019, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441.
    """
    return _game(
        lambda real, fake: softplus(fake - real),
        lambda real, fake: softplus(real - fake),
    )


@cache
def relativistic_average() -> Game:
    """−log σ(r − f̄) − log σ(r̄ − f), and the same with r and f exchanged: against the mean.

    Reference: Jolicoeur-Martineau 2019, arXiv:1807.00734.
    """

    def critic(real: Scores, fake: Scores) -> Scores:
        return softplus(jnp.mean(fake) - real) + softplus(fake - jnp.mean(real))

    return _game(critic, lambda real, fake: critic(fake, real))


def labelled(real: Scores, fake: Scores, real_labels: Scores, fake_labels: Scores) -> Scores:
    """The critic's cost of the plain game with labels that need not be 1 and 0.

    Args:
      real: scores of real examples, log-odds.
      fake: scores of generated ones.
      real_labels: 1, or what `one_sided`, `noisy` or `flipped` made of it.
      fake_labels: 0, or what they made of it.
    """
    return binary_cross_entropy(real, real_labels) + binary_cross_entropy(fake, fake_labels)


def signed(scores: Scores, labels: Scores) -> Scores:
    """−y s, y = +1 for real and −1 for generated examples: half of Wasserstein's cost each."""
    scores, labels = widen_all(scores, labels)
    return -labels * scores


def signs(labels: Scores) -> Scores:
    """2y − 1: labels 1 and 0 as +1 and −1."""
    return 2 * labels - 1


def one_sided(labels: Scores, amount: float = 0.1) -> Scores:
    """(1 − α) y: real examples count as 1 − α, generated ones stay 0.

    Smoothing 0 too would teach the critic that p is where the generator already is.

    Args:
      labels: y, 1 or 0.
      amount: α.

    Raises:
      ValueError: if α is not in [0, 1).

    Reference: Salimans et al. 2016, section 3.4, arXiv:1606.03498.
    """
    if not 0 <= amount < 1:
        raise ValueError(f"amount: expected a number in [0, 1), got {amount}")
    return (1 - amount) * labels


def noisy(labels: Scores, key: Key, amount: float = 0.1) -> Scores:
    """y moved by α u towards the other label, u uniform: in [1 − α, 1] and [0, α].

    Labels stay probabilities; noise around 1 would ask for log-odds beyond every bound.

    Args:
      labels: y, 1 or 0.
      key: for u.
      amount: α.

    Raises:
      ValueError: if α is not in [0, 1].
    """
    _probability("amount", amount)
    u = amount * jax.random.uniform(key, labels.shape, labels.dtype)
    return labels + (1 - 2 * labels) * u


def flipped(labels: Scores, key: Key, rate: float = 0.05) -> Scores:
    """y, or 1 − y with this probability: some real examples are called generated and vice versa.

    Args:
      labels: y, 1 or 0.
      key: for which.
      rate: the probability.

    Raises:
      ValueError: if it is none.
    """
    _probability("rate", rate)
    return jnp.where(jax.random.bernoulli(key, rate, labels.shape), 1 - labels, labels)


def _tell_apart(real: Scores, fake: Scores) -> Scores:
    return softplus(-real) + softplus(fake)


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a probability, got {value}")
