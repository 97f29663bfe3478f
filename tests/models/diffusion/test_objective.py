# SPDX-License-Identifier: Apache-2.0
"""The losses of the best possible network on normal data, which are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import diffusion as d
from jaxml.models import diffusion

VARIANCE = 0.25
KINDS = {"eps": d.EPS, "x0": d.X0, "v": d.V, "score": d.SCORE, "flow": d.FLOW, "edm": None}
RNG = np.random.default_rng(0)


def kind(name):
    return d.preconditioned(0.5) if KINDS[name] is None else KINDS[name]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("weighting", [d.weighting.simple, d.weighting.min_snr()])
def test_a_weighted_loss_does_not_depend_on_what_is_predicted(
    name, weighting, best_model, normal_data, x64
):
    """With one key, the same value for every parameterization; None weighs none of them."""
    x, key = normal_data(np.random.default_rng(0), 64), jax.random.key(0)
    eps, other = (best_model(d.cosine(), p) for p in (d.EPS, kind(name)))
    expected = diffusion.loss(eps, x, key, weighting=weighting)[0]
    found = diffusion.loss(other, x, jax.random.key(0), weighting=weighting)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    bound = [diffusion.bound_loss(m, x, jax.random.key(0))[0] for m in (eps, other)]
    np.testing.assert_allclose(bound[1], bound[0], rtol=1e-9)
    plain, metrics = diffusion.loss(other, x, jax.random.key(0))
    np.testing.assert_allclose(plain, metrics["squared_error"])


@pytest.mark.parametrize(("name", "schedule"), [("eps", d.cosine()), ("flow", d.rectified()),
                                                ("edm", d.edm())])  # fmt: skip
def test_the_least_loss_is_known(name, schedule, best_model, normal_data):
    """Of ε, α² v/(α² v + σ²) in the mean over t: 20,000 examples, 4.5 standard errors."""
    n = 20_000
    model = best_model(schedule, kind(name))
    loss = jax.jit(lambda x, key: diffusion.loss(model, x, key, weighting=d.weighting.simple))
    t = jnp.linspace(0.0, 1.0, 4001)[1:-1]
    noise = schedule.at(t)
    signal = np.asarray(noise.alpha, "f8") ** 2 * VARIANCE
    least = (signal / (signal + np.asarray(noise.sigma, "f8") ** 2)).mean()
    values = [
        float(loss(normal_data(np.random.default_rng(i), n // 10), jax.random.key(i))[0])
        for i in range(10)
    ]
    error = np.std(values, ddof=1) / np.sqrt(10)
    assert error < 0.02 * least
    assert abs(np.mean(values) - least) < 4.5 * error


@pytest.mark.parametrize(
    "schedule", [d.cosine(-6.0, 6.0), d.linear_log_snr(-6.0, 6.0)], ids=["cosine", "linear"]
)
def test_the_bound_knows_the_ends_of_a_schedule_only(schedule, best_model, normal_data):
    """½ log (1 + v e^λ₀)/(1 + v e^λ₁) nats an element, for both ways between λ₀ and λ₁."""
    model = best_model(schedule)
    loss = jax.jit(lambda x, key: diffusion.bound_loss(model, x, key)[0])
    ends = 6.0, -6.0
    exact = 0.5 * np.subtract(*(np.log1p(VARIANCE * np.exp(end)) for end in ends))
    values = [
        float(loss(normal_data(np.random.default_rng(i), 5000), jax.random.key(i)))
        for i in range(10)
    ]
    error = np.std(values, ddof=1) / np.sqrt(10)
    assert error < 0.02 * exact
    assert abs(np.mean(values) - exact) < 4.5 * error


class Told(nnx.Module):
    """Says of x what it was told as a context."""

    def __call__(self, x, t, context=None):
        return jnp.broadcast_to(context, x.shape)


def test_a_context_reaches_the_network_and_is_dropped_as_often_as_asked():
    """ε̂ = c: with c = 7 the loss is 1 + 49 a kept row and 1 a dropped one."""
    model = diffusion.Diffusion(Told(), d.cosine(), shape=(1,))
    n = 20_000
    batch = {"x": jnp.zeros((n, 1)), "y": jnp.full((n, 1), 7.0)}
    for drop in (0.0, 0.25):
        value = float(diffusion.loss(model, batch, jax.random.key(0), drop=drop)[0])
        spread = np.sqrt(drop * (1 - drop)) * 49 + 7 * 2
        assert abs(value - (1 + 49 * (1 - drop))) < 4.5 * spread / np.sqrt(n)
    with pytest.raises(ValueError, match="drop"):
        diffusion.loss(model, batch, jax.random.key(0), drop=1.0)


def test_what_says_nothing_of_the_data_is_refused():
    with pytest.raises(ValueError, match="parameterization"):
        diffusion.Diffusion(Told(), d.rectified(), parameterization=d.EPS, shape=(1,))
