# SPDX-License-Identifier: Apache-2.0
"""The objectives against probabilistic PCA, whose likelihood, posterior and optimum are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxml import nn
from jaxml.losses import likelihood
from jaxml.losses.variational import importance_weighted_bound
from jaxml.models import vae

D, Q = 5, 2


def data(n=400, seed=0):
    """n rows with a correlated covariance and a mean."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(D, D)))[0]
    x = rng.normal(size=(n, D)) * np.array([2.5, 1.6, 0.7, 0.5, 0.4])
    return x @ basis.T + np.array([1.0, -2.0, 0.0, 0.5, 3.0])


def ppca(x):
    """The optimum of Tipping and Bishop 1999: loading, mean, noise variance."""
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[Q:].mean()
    return vectors[:, :Q] * np.sqrt(values[:Q] - noise), mean, noise


def exact_log_likelihood(x, loading, mean, noise):
    """log N(x; μ, WWᵀ + σ²I) of each row."""
    c = loading @ loading.T + noise * np.eye(D)
    r = x - mean
    quadratic = np.einsum("ni,ij,nj->n", r, np.linalg.inv(c), r)
    return -0.5 * (D * np.log(2 * np.pi) + np.linalg.slogdet(c)[1] + quadratic)


def linear_vae(rngs):
    decoder = vae.SharedVariance(nn.MLP(Q, [], D, rngs=rngs))
    return vae.VAE(nn.MLP(D, [], 2 * Q, rngs=rngs), decoder, likelihood.normal(), n_latent=Q)


def raw(log_variance, limit):
    return limit * np.arctanh(log_variance / limit)


def put(variable, value):
    variable.set_value(jnp.asarray(value, float))


def optimal_vae(x, beta=1.0):
    """The linear VAE at the optimum of its (β-)ELBO with noise variance fixed by pPCA.

    With a fixed σ² the β-ELBO is the ELBO of noise variance βσ²: W Wᵀ = U(Λ − βσ²I)Uᵀ.
    """
    model = linear_vae(nnx.Rngs(0))
    _, mean, noise = ppca(x)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    loading = vectors[:, ::-1][:, :Q] * np.sqrt(values[::-1][:Q] - beta * noise)
    m = loading.T @ loading + beta * noise * np.eye(Q)
    encode = np.linalg.solve(m, loading.T).T
    log_variance = np.log(beta * noise / np.diag(m))
    (encoder,), (decoder,) = model.encoder.layers, model.decoder.network.layers
    put(encoder.kernel, np.concatenate([encode, np.zeros((D, Q))], axis=1))
    put(encoder.bias, np.concatenate([-mean @ encode, raw(log_variance, model.limit)]))
    put(decoder.kernel, loading.T)
    put(decoder.bias, mean)
    put(model.decoder.raw_log_variance, raw(np.log(noise), 10.0))
    return model


def over_sigma_points(monkeypatch, objective):
    """The mean over the 2Q noises ±√Q e_j: exactly the expectation of anything quadratic in ε."""
    points = jnp.sqrt(Q) * jnp.concatenate([jnp.eye(Q), -jnp.eye(Q)])

    def at(point, *args):
        monkeypatch.setattr(
            jax.random, "normal", lambda _, shape, __: jnp.broadcast_to(point, shape)
        )
        return objective(*args)

    def expectation(*args):
        values = jax.vmap(lambda point: at(point, *args))(points)
        return jax.tree.map(lambda v: jnp.mean(v, axis=0), values)

    return expectation


def test_elbo_at_the_ppca_optimum_is_the_log_likelihood(x64, monkeypatch):
    """With the exact posterior the ELBO of every example equals log p(x), to 1e-9 nats."""
    x = data()
    model = optimal_vae(x)
    exact = exact_log_likelihood(x, *ppca(x))
    elbo = over_sigma_points(monkeypatch, lambda x: vae.elbo(model, x, jax.random.key(0)))
    bound = jax.jit(elbo)(jnp.asarray(x))
    np.testing.assert_allclose(bound.value, exact, atol=1e-9)
    terms = bound.reconstruction - bound.kl.sum(-1)
    np.testing.assert_allclose(bound.value, terms, rtol=1e-12)


def test_every_importance_weight_at_the_optimum_is_the_likelihood(x64):
    """p(x, z)/q(z|x) = p(x) for every z: all bounds are exact and have no variance."""
    x = data()
    model = optimal_vae(x)
    exact = exact_log_likelihood(x, *ppca(x))
    log_w = jax.jit(lambda x: vae.log_weight(model, x, jax.random.key(0), 7))(jnp.asarray(x))
    np.testing.assert_allclose(log_w, np.broadcast_to(exact, (7, 400)), atol=1e-9)


def test_beta_vae_is_stationary_at_its_closed_form_with_a_known_rate(x64, monkeypatch):
    """Rate = ½ Σ_j log(λ_j/(βσ²)), and there the gradient in the mean parameters vanishes."""
    x = data()
    noise = ppca(x)[2]
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1][:Q]

    def objective(model, beta):
        return vae.loss(model, jnp.asarray(x), jax.random.key(0), beta=beta)

    mean_objective = over_sigma_points(monkeypatch, objective)
    slope = jax.jit(jax.value_and_grad(mean_objective, has_aux=True))
    for beta in (0.5, 1.0, 3.0):
        (_, metrics), gradient = slope(optimal_vae(x, beta), beta)
        rate = 0.5 * np.sum(np.log(eigenvalues / (beta * noise)))
        np.testing.assert_allclose(metrics["kl"], rate, rtol=1e-12)
        for part in (gradient.encoder, gradient.decoder.network):
            for leaf in jax.tree.leaves(part):
                np.testing.assert_allclose(leaf, 0, atol=1e-11)
        if beta == 1:  # the learned variance is optimal too
            np.testing.assert_allclose(gradient.decoder.raw_log_variance[...], 0, atol=1e-11)


def test_gradient_away_from_the_optimum_is_that_of_the_closed_form(x64, monkeypatch):
    """∇(−ELBO) equals the gradient of the integrated ELBO of a linear-Gaussian model."""
    x = jnp.asarray(data())
    model = jax.tree.map(lambda p: p.astype(float) + 0.1, linear_vae(nnx.Rngs(3)))

    def closed_form(model):
        (e,), (d,) = model.encoder.layers, model.decoder.network.layers
        q = x @ e.kernel[...] + e.bias[...][None]
        mean, lv = q[:, :Q], 20 * jnp.tanh(q[:, Q:] / 20)
        noise_lv = 10 * jnp.tanh(model.decoder.raw_log_variance[...] / 10)
        w = d.kernel[...]
        r = x - mean @ w - d.bias[...][None]
        squares = jnp.square(r).sum(1) + jnp.exp(lv) @ jnp.square(w).sum(1)
        recon = -0.5 * (D * (jnp.log(2 * jnp.pi) + noise_lv) + squares * jnp.exp(-noise_lv))
        kl = 0.5 * (jnp.exp(lv) + mean**2 - 1 - lv).sum(1)
        return jnp.mean(kl - recon)

    ours = over_sigma_points(monkeypatch, lambda m: vae.loss(m, x, jax.random.key(0))[0])
    value, gradient = jax.jit(jax.value_and_grad(ours))(model)
    expected_value, expected = jax.jit(jax.value_and_grad(closed_form))(model)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11), gradient, expected)


def test_training_reaches_the_exact_likelihood():
    """Full batch, 3000 Adam steps: within 0.01 nats a dimension, C within 2 %."""
    x = data()
    loading, mean, noise = ppca(x)
    batch = jnp.asarray(x, jnp.float32)
    model = linear_vae(nnx.Rngs(0))
    optimizer = optax.adam(lambda i: 0.05 * (1 - i.astype(jnp.float32) / 3000))

    def step(carry, key):
        model, state = carry
        gradient = jax.grad(lambda m: vae.loss(m, batch, key)[0])(model)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(model, updates), state), None

    keys = jax.random.split(jax.random.key(1), 3000)
    with jax.numpy_dtype_promotion("standard"):  # Adam's decay ** count mixes float and int
        start = (model, optimizer.init(model))
        (model, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, keys))(start)
    elbo = jax.jit(jax.vmap(lambda k: vae.elbo(model, batch, k).value))
    elbos = elbo(jax.random.split(jax.random.key(2), 200))
    exact = exact_log_likelihood(x, loading, mean, noise).mean()
    assert abs(float(jnp.mean(elbos)) - exact) < 0.01 * D
    w = np.asarray(model.decoder.network.layers[0].kernel[...], np.float64)
    log_variance = 10 * np.tanh(float(model.decoder.raw_log_variance[...]) / 10)
    trained = w.T @ w + np.exp(log_variance) * np.eye(D)
    target = loading @ loading.T + noise * np.eye(D)
    assert np.linalg.norm(trained - target) < 0.02 * np.linalg.norm(target)


def test_beta_belongs_on_the_divergence(small):
    """Printed: 500·(reconstruction averaged over pixels) + KL; that is β = D/500 in disguise.

    The printed form is a negative ELBO for no image size but D = 500 pixels.
    """
    model, x = small
    bound = jax.jit(vae.elbo)(model, x, jax.random.key(1))
    printed = 500 * jnp.mean(-bound.reconstruction / 6) + jnp.mean(bound.kl.sum(-1))
    objective = jax.jit(vae.loss)
    ours, metrics = objective(model, x, jax.random.key(1), beta=6 / 500)
    np.testing.assert_allclose(printed, 500 / 6 * ours, rtol=1e-5)
    negative_elbo, _ = objective(model, x, jax.random.key(1), beta=1.0)
    np.testing.assert_allclose(negative_elbo, -metrics["elbo"], rtol=1e-6)
    assert not np.isclose(printed, negative_elbo, rtol=0.1)


def test_free_nats_silence_the_divergence_below_them(small):
    """With λ above every KL_j the encoder feels the reconstruction alone, and the rate is λ·J."""
    model, x = small

    def reconstruction(m):
        return -jnp.mean(vae.elbo(m, x, jax.random.key(1)).reconstruction)

    def free(m):
        return vae.loss(m, x, jax.random.key(1), free_nats=50.0)[0]

    value, gradient = jax.jit(jax.value_and_grad(free))(model)
    expected, alone = jax.jit(jax.value_and_grad(reconstruction))(model)
    np.testing.assert_allclose(value, expected + 100, rtol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), gradient, alone)


def test_bounds_rise_with_k_from_the_elbo(small):
    """E[IWAE_K] is nondecreasing for K = 1, 2, 5, 20, 100 and starts at the ELBO, 4.5 s.e. each."""
    model, x = small
    n = 3000

    @jax.jit
    @jax.vmap
    def bounds(key):
        log_w = vae.log_weight(model, x, key, 100)
        own = [importance_weighted_bound(log_w[:k]).mean() for k in (1, 2, 5, 20, 100)]
        elbo = vae.elbo(model, x, jax.random.fold_in(key, 1)).value.mean()
        return jnp.stack([elbo, *own])

    values = np.asarray(bounds(jax.random.split(jax.random.key(0), n)), np.float64)
    rises = np.diff(values, axis=1)
    error = rises.std(0) / np.sqrt(n)
    assert abs(rises[:, 0].mean()) < 4.5 * error[0]  # K = 1 is the ELBO, its KL in closed form
    assert (rises[:, 1:].mean(0) > -4.5 * error[1:]).all()
    assert rises[:, 1:].mean(0).sum() > 10 * error[1:].sum()


def test_dreg_and_plain_gradients_agree_in_expectation_but_not_in_noise(small):
    """One value, one decoder gradient, one mean of the encoder's: 4.5 s.e.; and SNR against K.

    Signal² over noise is proportional to 1/K in the plain encoder gradient and to K in DReG.
    """
    model, x = small
    n = 2000
    ratio = {}
    for k in (4, 64):

        def both(model, key, k=k):
            run = [
                jax.value_and_grad(partial(f, n_samples=k), has_aux=True)(model, x, one)
                for f, one in ((vae.iwae_loss, key), (vae.dreg_loss, jax.random.clone(key)))
            ]
            return [value for (value, _), _ in run], [gradient for _, gradient in run]

        keys = jax.random.split(jax.random.key(k), n)
        values, (plain, dreg) = jax.jit(jax.vmap(both, (None, 0)))(model, keys)
        np.testing.assert_allclose(*values, rtol=1e-5)
        close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
        jax.tree.map(close, plain.decoder, dreg.decoder)
        a, b = (
            np.concatenate(
                [np.asarray(v, float).reshape(n, -1) for v in jax.tree.leaves(g.encoder)], 1
            )
            for g in (plain, dreg)
        )
        error = (a - b).std(0) / np.sqrt(n)
        assert (np.abs((a - b).mean(0)) <= 4.5 * error + 1e-7).all()
        for name, g in (("plain", a), ("dreg", b)):
            noise = g.var(0).sum()
            signal = (g.mean(0) ** 2).sum() - noise / n  # |mean|² carries noise of its own
            ratio[name, k] = signal / noise
    assert ratio["plain", 64] < ratio["plain", 4] / 5
    assert ratio["dreg", 64] > ratio["dreg", 4] * 5
