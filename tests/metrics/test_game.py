# SPDX-License-Identifier: Apache-2.0
"""The Dirac-GAN: data at 0, a generator that puts all mass at θ, a critic D(x) = ψ x."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.losses import adversarial, critic_penalty
from jaxml.metrics import game_spectrum
from jaxml.models import gan


class Place(nnx.Module):
    """G(z) = θ."""

    def __init__(self):
        self.theta = nnx.Param(jnp.zeros(()))

    def __call__(self, z, context=None):
        return jnp.full((len(z), 1), self.theta[...])


class Slope(nnx.Module):
    """D(x) = ψ x."""

    def __init__(self):
        self.psi = nnx.Param(jnp.zeros(()))

    def __call__(self, x, context=None):
        return self.psi[...] * x[:, 0]


def step_of(rate, gamma, game, *, alternating=False):
    """One gradient step of both players at once, or of the generator and then of the critic."""
    graph = nnx.graphdef(gan.GAN(Place(), Slope(), 1))
    penalty = critic_penalty.zero_centred(gamma)
    data = jnp.zeros((4, 1))

    def slope(loss, place, params):
        key = jax.random.key(0)
        found = jax.grad(lambda p: loss(nnx.merge(graph, p), data, key)[0])(params)
        return found[place[0]][place[1]]

    critic = partial(gan.critic_loss, game=game, penalty=penalty)
    generator = partial(gan.generator_loss, game=game)

    def moved(params, place, slope):
        inner = params[place[0]] | {place[1]: params[place[0]][place[1]] - rate * slope}
        return params | {place[0]: inner}

    of_generator, of_critic = ("generator", "theta"), ("critic", "psi")

    def update(params):
        first = moved(params, of_generator, slope(generator, of_generator, params))
        seen = first if alternating else params
        return moved(first, of_critic, slope(critic, of_critic, seen))

    params = nnx.to_pure_dict(nnx.state(gan.GAN(Place(), Slope(), 1)))
    return update, jax.tree.map(lambda a: a.astype(float), params)


GAMES = {
    name: getattr(adversarial, name)() for name in ("saturating", "non_saturating", "relativistic")
}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_at_once_the_players_drift_apart(name, rate, x64):
    """1 ± ih/2, of absolute value √(1 + h²/4) > 1: no rate of learning is small enough."""
    values = game_spectrum(*step_of(rate, 0.0, GAMES[name]))
    np.testing.assert_allclose(np.abs(values), np.sqrt(1 + rate**2 / 4), rtol=1e-12)
    np.testing.assert_allclose(sorted(values.imag), [-rate / 2, rate / 2], rtol=1e-12)


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_in_turns_they_circle(rate, x64):
    """The product of the eigenvalues is 1 and both are complex: radius 1."""
    values = game_spectrum(*step_of(rate, 0.0, GAMES["non_saturating"], alternating=True))
    np.testing.assert_allclose(np.abs(values), 1, rtol=1e-12)


@pytest.mark.parametrize(("gamma", "rate"), [(0.5, 0.1), (2.0, 0.1), (2.0, 0.5)])
def test_a_penalty_at_the_data_pulls_them_in(gamma, rate, x64):
    """Eigenvalues 1 + h(−γ ± √(γ² − 1))/2, inside the unit circle."""
    values = game_spectrum(*step_of(rate, gamma, GAMES["non_saturating"]))
    root = np.emath.sqrt(gamma**2 - 1)
    expected = [1 + rate * (-gamma + sign * root) / 2 for sign in (1, -1)]
    np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(expected), rtol=1e-12)
    assert (np.abs(values) < 1).all()


def test_a_penalty_of_one_pulls_them_in_without_a_turn(x64):
    """γ = 1: trace 2 − h and determinant (1 − h/2)² to 1e-12; the double eigenvalue is 1 − h/2."""
    values = game_spectrum(*step_of(0.1, 1.0, GAMES["non_saturating"]))
    np.testing.assert_allclose(values.sum(), 1.9, rtol=1e-12)
    np.testing.assert_allclose(values.prod(), 0.95**2, rtol=1e-12)
    np.testing.assert_allclose(values, 0.95, rtol=1e-7)


def test_wasserstein_with_clipping_left_out_drifts_too(x64):
    """f(t) = t: 1 ± ih, of absolute value √(1 + h²)."""
    values = game_spectrum(*step_of(0.1, 0.0, adversarial.wasserstein()))
    np.testing.assert_allclose(np.abs(values), np.sqrt(1.01), rtol=1e-12)


def test_one_learner_has_real_eigenvalues(x64):
    """A gradient step on ½ xᵀ A x: 1 − h λ(A)."""
    a = jnp.asarray([[3.0, 1.0], [1.0, 2.0]])
    values = game_spectrum(lambda x: x - 0.1 * a @ x, jnp.zeros(2))
    expected = 1 - 0.1 * np.linalg.eigvalsh(np.asarray(a))
    np.testing.assert_allclose(values, np.sort(expected)[::-1], rtol=1e-12)


def test_an_update_of_another_size_is_refused():
    with pytest.raises(ValueError, match="update"):
        game_spectrum(lambda x: x[:1], jnp.zeros(2))
