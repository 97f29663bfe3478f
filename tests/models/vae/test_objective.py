# SPDX-License-Identifier: Apache-2.0
"""The objectives against probabilistic PCA, whose likelihood, posterior and optimum are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml import nn
from jaxml.losses import likelihood
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
    points = np.sqrt(Q) * np.concatenate([np.eye(Q), -np.eye(Q)])

    def mean_over_points(*args):
        values = []
        for point in points:
            noise = lambda key, shape, dtype, point=point: jnp.broadcast_to(point, shape)  # noqa: E731
            monkeypatch.setattr(jax.random, "normal", noise)
            values.append(objective(*args))
        return jax.tree.map(lambda *v: sum(v) / len(v), *values)

    return mean_over_points


def test_elbo_at_the_ppca_optimum_is_the_log_likelihood(x64, monkeypatch):
    """With the exact posterior the ELBO of every example equals log p(x), to 1e-9 nats."""
    x = data()
    model = optimal_vae(x)
    exact = exact_log_likelihood(x, *ppca(x))
    elbo = over_sigma_points(
        monkeypatch, lambda: vae.elbo(model, jnp.asarray(x), jax.random.key(0))
    )
    np.testing.assert_allclose(elbo().value, exact, atol=1e-9)


def test_every_importance_weight_at_the_optimum_is_the_likelihood(x64):
    """p(x, z)/q(z|x) = p(x) for every z: all bounds are exact and have no variance."""
    x = jnp.asarray(data(20))
    full = data()
    model = optimal_vae(full)
    exact = exact_log_likelihood(np.asarray(x), *ppca(full))
    log_w = vae.log_weight(model, x, jax.random.key(0), 7)
    np.testing.assert_allclose(log_w, np.broadcast_to(exact, (7, 20)), atol=1e-9)
    np.testing.assert_allclose(vae.iwae(model, x, jax.random.key(1), 50), exact, atol=1e-9)


def test_elbo_is_unbiased_and_its_terms_add_up(x64):
    """The mean over 2000 keys is the log-likelihood at the optimum, within 4.5 standard errors."""
    x = data()
    model, x5 = optimal_vae(x), jnp.asarray(x[:5])
    bounds = jax.vmap(lambda k: vae.elbo(model, x5, k))(jax.random.split(jax.random.key(0), 2000))
    np.testing.assert_allclose(bounds.value, bounds.reconstruction - bounds.kl.sum(-1), rtol=1e-12)
    error = np.std(bounds.value, 0) / np.sqrt(2000)
    exact = exact_log_likelihood(x[:5], *ppca(x))
    assert (np.abs(np.mean(bounds.value, 0) - exact) < 4.5 * error).all()


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_beta_vae_is_stationary_at_its_closed_form_with_a_known_rate(beta, x64, monkeypatch):
    """Rate = ½ Σ_j log(λ_j/(βσ²)), and there the gradient in the mean parameters vanishes."""
    x = data()
    model = optimal_vae(x, beta)
    objective = partial(vae.loss, beta=beta)
    mean_objective = over_sigma_points(
        monkeypatch, lambda m: objective(m, jnp.asarray(x), jax.random.key(0))
    )
    (_, metrics), gradient = jax.value_and_grad(mean_objective, has_aux=True)(model)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1][:Q]
    rate = 0.5 * np.sum(np.log(eigenvalues / (beta * ppca(x)[2])))
    np.testing.assert_allclose(metrics["kl"], rate, rtol=1e-12)
    for part in (gradient.encoder, gradient.decoder.network):
        for leaf in jax.tree.leaves(part):
            np.testing.assert_allclose(leaf, 0, atol=1e-11)
    if beta == 1:  # the learned variance is optimal too
        np.testing.assert_allclose(gradient.decoder.raw_log_variance[...], 0, atol=1e-11)


def test_gradient_away_from_the_optimum_is_that_of_the_closed_form(x64, monkeypatch):
    """∇(−ELBO) equals the gradient of the integrated ELBO of a linear-Gaussian model."""
    x = jnp.asarray(data())
    model = linear_vae(nnx.Rngs(3))
    model = jax.tree.map(lambda p: p.astype(float) + 0.1, model)

    def closed_form(model):
        (e,), (d,) = model.encoder.layers, model.decoder.network.layers
        q = x @ e.kernel[...] + e.bias[...][None]
        mean, lv = q[:, :Q], 20 * jnp.tanh(q[:, Q:] / 20)
        noise_lv = 10 * jnp.tanh(model.decoder.raw_log_variance[...] / 10)
        w = d.kernel[...]
        r = x - mean @ w - d.bias[...][None]
        spread = jnp.exp(lv) @ jnp.square(w).sum(1)
        squares = jnp.square(r).sum(1) + spread
        recon = -0.5 * (D * (jnp.log(2 * jnp.pi) + noise_lv) + squares * jnp.exp(-noise_lv))
        kl = 0.5 * (jnp.exp(lv) + mean**2 - 1 - lv).sum(1)
        return jnp.mean(kl - recon)

    ours = over_sigma_points(monkeypatch, lambda m: vae.loss(m, x, jax.random.key(0))[0])
    value, gradient = jax.value_and_grad(ours)(model)
    expected_value, expected = jax.value_and_grad(closed_form)(model)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11), gradient, expected)


def test_training_reaches_the_exact_likelihood():
    """Full batch, 3000 Adam steps: within 0.01 nats a dimension, C within 2 %."""
    x = data()
    loading, mean, noise = ppca(x)
    batch = jnp.asarray(x, jnp.float32)
    model = linear_vae(nnx.Rngs(0))
    optimizer = optax.adam(lambda i: 0.02 * (1 - i.astype(jnp.float32) / 3000))

    def step(carry, key):
        model, state = carry
        gradient = jax.grad(lambda m: vae.loss(m, batch, key)[0])(model)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(model, updates), state), None

    keys = jax.random.split(jax.random.key(1), 3000)
    with jax.numpy_dtype_promotion("standard"):  # Adam's decay ** count mixes float and int
        start = (model, optimizer.init(model))
        (model, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, keys))(start)
    elbos = jax.vmap(lambda k: vae.elbo(model, batch, k).value)(
        jax.random.split(jax.random.key(2), 200)
    )
    exact = exact_log_likelihood(x, loading, mean, noise).mean()
    assert abs(float(jnp.mean(elbos)) - exact) < 0.01 * D
    w = np.asarray(model.decoder.network.layers[0].kernel[...], np.float64)
    trained = w.T @ w + np.exp(float(model.decoder.raw_log_variance[...])) * np.eye(D)
    target = loading @ loading.T + noise * np.eye(D)
    assert np.linalg.norm(trained - target) < 0.02 * np.linalg.norm(target)


def test_beta_belongs_on_the_divergence():
    """Printed: 500·(reconstruction averaged over pixels) + KL; that is β = D/500 in disguise.

    The printed form is not a negative ELBO for any image size but D = 500 pixels.
    """
    model = vae.mlp(12, [8], 2, likelihood.bernoulli(), rngs=nnx.Rngs(0))
    x = jax.random.bernoulli(jax.random.key(0), 0.4, (6, 12)).astype(jnp.float32)
    bound = vae.elbo(model, x, jax.random.key(1))
    kl = jnp.mean(bound.kl.sum(-1))
    printed = 500 * jnp.mean(-bound.reconstruction / 12) + kl
    ours, metrics = vae.loss(model, x, jax.random.key(1), beta=12 / 500)
    np.testing.assert_allclose(printed, 500 / 12 * ours, rtol=1e-5)
    negative_elbo, _ = vae.loss(model, x, jax.random.key(1))
    np.testing.assert_allclose(negative_elbo, -metrics["elbo"], rtol=1e-6)
    assert not np.isclose(printed, negative_elbo, rtol=0.1)


def test_free_nats_silence_the_divergence_below_them():
    """With λ above every KL_j the encoder feels the reconstruction alone, and the rate is λ·J."""
    model = vae.mlp(12, [8], 3, likelihood.bernoulli(), rngs=nnx.Rngs(0))
    x = jax.random.bernoulli(jax.random.key(0), 0.4, (6, 12)).astype(jnp.float32)

    def reconstruction(m):
        return -jnp.mean(vae.elbo(m, x, jax.random.key(1)).reconstruction)

    def free(m):
        return vae.loss(m, x, jax.random.key(1), free_nats=50.0)[0]

    value, gradient = jax.jit(jax.value_and_grad(free))(model)
    expected, alone = jax.jit(jax.value_and_grad(reconstruction))(model)
    np.testing.assert_allclose(value, expected + 150, rtol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), gradient, alone)


@pytest.fixture(scope="module")
def small():
    """A Bernoulli VAE with random weights, q(z|x) wider than the posterior, and three examples.

    Wide q keeps the weights bounded; only then do the gradients scale with K as the theory says.
    """
    model = vae.mlp(6, [8], 2, likelihood.bernoulli(), activation=jnp.tanh, rngs=nnx.Rngs(0))
    model.encoder = jax.tree.map(lambda p: 0.3 * p, model.encoder)
    return model, jax.random.bernoulli(jax.random.key(5), 0.5, (3, 6)).astype(jnp.float32)


def test_bounds_rise_with_k_and_stay_below_the_likelihood(small):
    """E[IWAE_K] is nondecreasing in K, strictly above the ELBO at the end."""
    model, x = small
    means, errors = [], []
    for i, k in enumerate([1, 2, 5, 20, 100]):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), i), 3000)
        bound = jax.jit(jax.vmap(lambda key, k=k: jnp.mean(vae.iwae(model, x, key, k))))(keys)
        means.append(float(jnp.mean(bound)))
        errors.append(float(jnp.std(bound)) / np.sqrt(3000))
    slack = 4.5 * np.hypot(errors[1:], errors[:-1])
    assert (np.diff(means) > -slack).all()
    assert means[-1] - means[0] > 2 * slack[0]
    keys = jax.random.split(jax.random.key(9), 3000)
    elbo = jax.jit(jax.vmap(lambda key: jnp.mean(vae.elbo(model, x, key).value)))(keys)
    error = np.hypot(errors[0], float(jnp.std(elbo)) / np.sqrt(3000))
    assert abs(float(jnp.mean(elbo)) - means[0]) < 4.5 * error  # K = 1 is the ELBO


def test_dreg_and_plain_gradients_agree_in_expectation_but_not_in_noise(small):
    """Same mean within 4.5 s.e.; signal-to-noise rises with K in DReG and falls in the other."""
    model, x = small
    n = 2000

    def gradients(objective, k, seed):
        keys = jax.random.split(jax.random.key(seed), n)
        one = jax.grad(lambda m, key: objective(m, x, key, n_samples=k)[0])
        return jax.jit(jax.vmap(one, (None, 0)))(model, keys)

    noise = {}
    for k in (4, 64):
        plain, dreg = gradients(vae.iwae_loss, k, k), gradients(vae.dreg_loss, k, k + 1)
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(dreg), strict=True):
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
            error = np.sqrt((a.var(0) + b.var(0)) / n)
            assert (np.abs(a.mean(0) - b.mean(0)) <= 4.5 * error + 1e-7).all()
        for name, g in (("plain", plain), ("dreg", dreg)):
            leaves = [np.asarray(v, np.float64) for v in jax.tree.leaves(g.encoder)]
            variance = sum(v.var(0).sum() for v in leaves)
            # |mean|² carries variance/n of its own
            signal = sum((v.mean(0) ** 2).sum() for v in leaves) - variance / n
            noise[name, k] = variance / signal
    # noise/signal² is proportional to K in the plain gradient and to 1/K in DReG
    assert noise["plain", 64] > 5 * noise["plain", 4]
    assert noise["dreg", 64] < noise["dreg", 4] / 5


def test_dreg_value_and_decoder_gradient_are_those_of_iwae(small):
    """At one key the value and the decoder's gradient coincide; the encoder's does not."""
    model, x = small
    run = [
        jax.jit(jax.value_and_grad(partial(f, n_samples=8), has_aux=True))(
            model, x, jax.random.key(0)
        )
        for f in (vae.iwae_loss, vae.dreg_loss)
    ]
    ((plain, _), g_plain), ((dreg, _), g_dreg) = run
    np.testing.assert_allclose(plain, dreg, rtol=1e-5)
    close = partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-6)
    jax.tree.map(close, g_plain.decoder, g_dreg.decoder)
    kernels = [g.encoder.layers[0].kernel[...] for g in (g_plain, g_dreg)]
    assert not np.allclose(*kernels, rtol=1e-2)


class Constant(nnx.Module):
    """A network whose output is one row of parameters, whatever goes in."""

    def __init__(self, row):
        self.row = nnx.Param(row)

    def __call__(self, x):
        return jnp.broadcast_to(self.row[...][None], (x.shape[0], self.row.shape[0]))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    "head", [likelihood.bernoulli, likelihood.normal, likelihood.discretized_logistic]
)
def test_losses_and_gradients_are_finite_for_any_raw_head(head, dtype):
    """Every head in ±{0, 1, 20, 89, 1e4}, x from 0 to 1e4: all objectives, values and gradients."""
    edges = jnp.array([0.0, 1, -1, 20, -20, 89, -89, 1e4, -1e4])
    x = jnp.array([[0.0], [1e-30], [1.0], [1e2], [1e4]])
    n = head().n_heads

    def finite(mean, log_variance, a, b, objective):
        row = jnp.stack([mean, log_variance]).astype(dtype)
        out = jnp.stack([a, b])[:n].astype(dtype)
        model = vae.VAE(Constant(row), Constant(out), head(), n_latent=1)
        (value, _), g = jax.value_and_grad(objective, has_aux=True)(model, x, jax.random.key(0))
        leaves = [value, *jax.tree.leaves(g)]
        return jnp.stack([jnp.isfinite(v.astype(jnp.float32)).all() for v in leaves]).all()

    grid = [g.ravel() for g in jnp.meshgrid(*[edges] * 4)]
    for objective in (
        vae.loss,
        partial(vae.iwae_loss, n_samples=3),
        partial(vae.dreg_loss, n_samples=3),
    ):
        check = jax.jit(jax.vmap(partial(finite, objective=objective)))
        assert check(*grid).all()


def test_bad_input_is_never_a_finite_loss():
    """NaN or inf in one element of x makes every objective non-finite."""
    model = vae.mlp(4, [8], 2, likelihood.bernoulli(), activation=jnp.tanh, rngs=nnx.Rngs(0))
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        x = jnp.zeros((3, 4)).at[1, 2].set(bad)
        for objective in (vae.loss, vae.iwae_loss, vae.dreg_loss):
            assert not np.isfinite(jax.jit(objective)(model, x, jax.random.key(0))[0])


@pytest.mark.parametrize("objective", [vae.loss, vae.iwae_loss, vae.dreg_loss])
def test_objectives_are_the_same_under_every_transformation(objective):
    """The gradient run plainly equals that under jit with vmap, scan and checkpoint."""
    model = vae.mlp(4, [8], 2, likelihood.bernoulli(), rngs=nnx.Rngs(0))
    x = jnp.eye(4)[:3]

    def gradient(key, wrap=lambda f: f):
        return jax.grad(wrap(lambda m: objective(m, x, key)[0]))(model)

    def keys():
        return jax.random.split(jax.random.key(0), 2)

    plain = jax.tree.map(lambda *v: jnp.stack(v), *[gradient(k) for k in keys()])
    runs = [
        jax.jit(jax.vmap(gradient)),
        jax.jit(lambda keys: jax.lax.map(gradient, keys)),
        jax.jit(jax.vmap(partial(gradient, wrap=jax.checkpoint))),
    ]
    for run in runs:
        close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
        jax.tree.map(close, run(keys()), plain)
