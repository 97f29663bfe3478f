# SPDX-License-Identifier: Apache-2.0
"""What training reaches on correlated normal data, against the least that it could."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml import diffusion as d
from jaxml.data import drawn
from jaxml.metrics import Moments, frechet_distance, moments
from jaxml.models import diffusion
from jaxml.nn import TimeMLP
from jaxml.training import average, chain, descend, fit

MEAN = jnp.asarray([0.5, -0.25])
ROOT = jnp.asarray([[0.8, 0.0], [0.5, 0.4]])
COVARIANCE = ROOT @ ROOT.T


def examples(key, n=512):
    return MEAN[None] + jax.random.normal(key, (n, 2)) @ ROOT.T


def trained(schedule, parameterization, loss, steps):
    model = diffusion.Diffusion(
        TimeMLP(2, 64, 2, rngs=nnx.Rngs(0)),
        schedule,
        parameterization=parameterization,
        shape=(2,),
    )
    rate = optax.cosine_decay_schedule(3e-3, steps)
    rule = chain(learn=descend(loss, optax.adam(rate)), average=average(0.995))
    batches = drawn(examples, jax.random.key(1))
    run = fit(rule, model, batches, jax.random.key(2), steps=steps, chunk=500)
    *_, (_, _, state, _) = run
    return state["average"]["model"]


@pytest.mark.slow
def test_a_trained_denoiser_loses_the_least_in_every_part_of_time():
    """E|ε̂ − E[ε | x_t]|² is at most 2 % of E|ε − E[ε | x_t]|² in each of ten parts."""
    model = trained(d.cosine(-6.0, 6.0), d.V, diffusion.bound_loss, 6000)
    exact = d.gaussian_denoiser(MEAN, COVARIANCE)

    @jax.jit
    def errors(key, t):
        data_key, noise_key = jax.random.split(key)
        x0, noise = examples(data_key, len(t)), model.schedule.at(t)
        x = d.diffuse(x0, jax.random.normal(noise_key, x0.shape), noise)
        best = exact(x, d.Points(t, noise)).eps
        eps = diffusion.denoise(model, x, d.Points(t, noise)).eps
        values = jnp.linalg.eigvalsh(COVARIANCE).reshape(1, 2)
        signal = jnp.square(noise.alpha)[:, None] * values
        least = jnp.sum(signal / (signal + jnp.square(noise.sigma)[:, None]), axis=1)
        return jnp.sum(jnp.square(eps - best), axis=1), least

    n = 20_000
    for part in range(10):
        t = jnp.asarray((part + (np.arange(n) + 0.5) / n) / 10, jnp.float32)
        excess, least = errors(jax.random.key(part), t)
        share = float(excess.mean() / least.mean())
        print(f"part {part}: {100 * share:.2f} %")
        assert share < 0.02


@pytest.mark.slow
def test_a_trained_flow_carries_noise_to_the_data():
    """Mean and covariance of 100,000 draws: a 2-Wasserstein distance of at most 0.02."""
    model = trained(d.rectified(), d.FLOW, diffusion.loss, 6000)
    path = d.points(model.schedule, d.grid.uniform(100, last=0.0), clean=False)
    draw = jax.jit(partial(diffusion.sample, solver=d.heun(), path=path), static_argnums=2)
    x = draw(model, jax.random.key(3), 100_000)
    law = Moments(np.asarray(MEAN, "f8"), np.asarray(COVARIANCE, "f8"))
    far = frechet_distance(moments(x), law) ** 0.5
    print(f"2-Wasserstein distance {far:.4f}")
    assert far < 0.02
