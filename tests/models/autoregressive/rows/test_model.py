# SPDX-License-Identifier: Apache-2.0
"""Models of rows: laws of probability, ensembles of orders, draws, and a known joint law."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import logsumexp
from scipy.stats import chisquare, kstest, norm

from jaxml.layers.masking import drawn_degrees
from jaxml.models.autoregressive import rows
from jaxml.nn import MADE, NADE
from jaxml.optimizers import adam
from jaxml.training import descend

ORDER = (3, 1, 5, 4, 2)
BINARY = np.array(list(itertools.product(range(2), repeat=5)), np.uint8)
TERNARY = np.array(list(itertools.product(range(3), repeat=5)))


def made(law, **options):
    return MADE(5, (8, 7), law.n_raw, n_features=law.n_features, **options, rngs=nnx.Rngs(0))


def nade(law, **options):
    return NADE(5, 6, law.n_raw, n_features=law.n_features, **options, rngs=nnx.Rngs(0))


MAKE = {
    "made": lambda: rows.RowModel(
        made(rows.bernoulli(), order=ORDER, direct=True), rows.bernoulli()
    ),
    "nade": lambda: rows.RowModel(nade(rows.bernoulli(), order=ORDER), rows.bernoulli()),
    "ensemble": lambda: rows.RowModel(made(rows.bernoulli()), rows.bernoulli(), n_masks=4, seed=7),
    "made of three": lambda: rows.RowModel(made(rows.categorical(3)), rows.categorical(3)),
    "nade of three": lambda: rows.RowModel(
        nade(rows.categorical(3), order=ORDER), rows.categorical(3)
    ),
}


def build(make, dtype=float):
    """NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(0.8 * rng.normal(size=s.shape), dtype), shapes)


@pytest.mark.parametrize("name", MAKE)
def test_probabilities_of_all_rows_sum_to_one(name, x64):
    """Over 2^5 or 3^5 rows, to 1e-12: whatever the order, and for the mean over orders."""
    x = TERNARY if "three" in name else BINARY
    log_p = np.asarray(jax.jit(rows.log_prob)(build(MAKE[name]), jnp.asarray(x)))
    assert abs(np.exp(log_p).sum() - 1) < 1e-12
    assert log_p.std() > 0.3


def test_an_ensemble_is_the_mean_of_its_laws(x64):
    """log (1/M) Σ p_m, each of the laws by the network under its own masks; the loss is one."""
    model, x = build(MAKE["ensemble"]), jnp.asarray(BINARY)

    @jax.jit
    def laws(model):
        found = []
        for i in range(4):
            key = jax.random.fold_in(jax.random.key(7), i)
            raw = model.network(x.astype(float), degrees=drawn_degrees(key, 5, (8, 7)))[..., 0]
            sign = 2 * x.astype(float) - 1
            found.append(jax.nn.log_sigmoid(sign * raw).sum(-1))
        return jnp.stack(found)

    each = np.asarray(laws(model))
    together = jax.jit(rows.log_prob)(model, x)
    np.testing.assert_allclose(together, logsumexp(each, axis=0) - np.log(4), atol=1e-12)
    value = jax.jit(lambda key: rows.loss(model, x, key)[0])
    losses = {round(float(value(jax.random.key(i))), 9) for i in range(40)}
    assert losses == {round(float(loss), 9) for loss in -each.mean(1)}


@pytest.mark.parametrize("name", ["made", "nade", "ensemble"])
def test_draws_have_the_law_of_the_model(name):
    """χ² over all 32 rows: p > 1e-4."""
    model, n = build(MAKE[name], jnp.float32), 6000

    @jax.jit
    def run(model, key):
        return rows.sample(model, key, n), rows.log_prob(model, jnp.asarray(BINARY))

    x, log_p = run(model, jax.random.key(0))
    x, p = np.asarray(x).astype(int), np.exp(np.asarray(log_p, "f8"))
    counts = np.bincount(x @ 2 ** np.arange(4, -1, -1), minlength=32)
    assert chisquare(counts, n * p / p.sum()).pvalue > 1e-4


def test_categories_are_drawn_as_they_are_scored():
    """χ² of the first column of the order: those of 3^5 rows that share it, summed."""
    model, n = build(MAKE["nade of three"], jnp.float32), 6000

    @jax.jit
    def run(model, key):
        return rows.sample(model, key, n), rows.log_prob(model, jnp.asarray(TERNARY))

    x, log_p = run(model, jax.random.key(1))
    p = np.exp(np.asarray(log_p, "f8")).reshape((3,) * 5)
    for pair in ((1, 4), (0, 3)):
        own = p.sum(tuple(set(range(5)) - set(pair))).ravel()
        counts = np.bincount(np.asarray(x)[:, pair] @ [3, 1], minlength=9)
        assert chisquare(counts, n * own / own.sum()).pvalue > 1e-4


def test_real_columns_have_mixtures_of_normals(x64):
    """log Σ π_k N(x; μ_k, σ_k²) against SciPy, column by column; draws by Kolmogorov-Smirnov."""
    law = rows.normal_mixture(2)
    model = build(lambda: rows.RowModel(nade(law, order=ORDER), law))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(9, 5)))

    @jax.jit
    def run(model, key):
        return model.network(x), rows.log_prob(model, x), rows.sample(model, key, 3000)

    raw, log_p, draws = map(np.asarray, run(model, jax.random.key(0)))
    weight, mean, spread = np.split(raw, 3, axis=-1)
    log_weight = weight - logsumexp(weight, axis=-1, keepdims=True)
    scale = np.exp(5 * np.tanh(spread / 10))
    each = norm.logpdf(np.asarray(x)[..., None], mean, scale)
    np.testing.assert_allclose(log_p, logsumexp(log_weight + each, axis=-1).sum(1), rtol=1e-11)
    first = ORDER.index(1)  # its law depends on no other column

    def cdf(value):
        parts = norm.cdf(np.asarray(value)[:, None], mean[0, first], scale[0, first])
        return (np.exp(log_weight[0, first]) * parts).sum(1)

    assert kstest(draws[:, first], cdf).pvalue > 1e-4


CHAIN, STATIONARY = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.75, 0.25])
JOINT = STATIONARY[BINARY[:, 0]] * CHAIN[BINARY[:, :-1], BINARY[:, 1:]].prod(1)
ENTROPY = 0.562335 + 4 * 0.396528  # H(π) + 4 H(P | π), nats


@pytest.mark.parametrize("name", ["made", "nade", "ensemble"])
def test_training_finds_the_entropy(name):
    """Five columns of a Markov chain, in a strange order: the loss ends at H, by enumeration."""
    rule, x = descend(rows.loss, adam(0.02)), jnp.asarray(BINARY)
    law = rows.bernoulli()

    @jax.jit
    def run():
        wide = name == "ensemble"  # one network for four orders
        model = (
            rows.RowModel(MADE(5, (48,), 1, rngs=nnx.Rngs(0)), law, n_masks=4)
            if wide
            else MAKE[name]()
        )
        graph, start = nnx.split(model)

        def step(carry, i):
            data_key, key = jax.random.split(jax.random.fold_in(jax.random.key(1), i))
            picked = jax.random.choice(data_key, x, (256,), p=jnp.asarray(JOINT, jnp.float32))
            model, memory, _ = rule.update(nnx.merge(graph, carry[0]), carry[1], picked, key)
            return (nnx.state(model), memory), None

        carry = start, rule.init(model, jax.random.key(0))
        state = jax.lax.scan(step, carry, jnp.arange(500))[0][0]
        return rows.log_prob(nnx.merge(graph, state), x)

    found = -(JOINT @ np.asarray(run(), "f8"))
    assert ENTROPY - 1e-5 < found < ENTROPY + 0.02


def test_a_context_moves_the_law(x64):
    """p(x | c) sums to 1 for every c; batches carry c, and draws have the law of theirs."""
    law = rows.bernoulli()
    for make in (made, nade):
        model = build(lambda make=make: rows.RowModel(make(law, n_context=2), law))
        x, n = jnp.asarray(BINARY), len(BINARY)

        @jax.jit
        def run(model, key, x=x, n=n):
            one, two = (jnp.tile(jnp.asarray(c), (n, 1)) for c in ([[1.0, -2]], [[0.5, 3]]))
            found = [rows.log_prob(model, x, context=c) for c in (one, two)]
            many = jnp.tile(one[:1], (4000, 1))
            draws = rows.sample(model, key, 4000, context=many)
            return *found, rows.loss(model, {"x": x, "y": two}, key)[0], draws

        first, second, loss, draws = map(np.asarray, run(model, jax.random.key(0)))
        for log_p in (first, second):
            assert abs(np.exp(log_p).sum() - 1) < 1e-12
        assert np.abs(first - second).min() > 1e-3
        np.testing.assert_allclose(loss, -second.mean(), rtol=1e-12)
        counts = np.bincount(draws.astype(int) @ 2 ** np.arange(4, -1, -1), minlength=32)
        assert chisquare(counts, 4000 * np.exp(first)).pvalue > 1e-4


def test_what_does_not_fit_is_refused():
    law, two = rows.bernoulli(), rows.categorical(2)
    with pytest.raises(ValueError, match=r"network: expected \(2, 2\) outputs and features"):
        rows.RowModel(made(law), two)
    with pytest.raises(ValueError, match="n_masks: expected 0, or more for a MADE, got 3"):
        rows.RowModel(nade(law), law, n_masks=3)
    with pytest.raises(ValueError, match="n_masks: expected 0, or more for a MADE, got -1"):
        rows.RowModel(made(law), law, n_masks=-1)
    with pytest.raises(ValueError, match="x: expected rows of 5 columns, got 4"):
        rows.log_prob(rows.RowModel(made(law), law), jnp.zeros((2, 4)))
    for call in (lambda: rows.categorical(0), lambda: rows.normal_mixture(0)):
        with pytest.raises(ValueError, match="n: expected at least 1"):
            call()
    with pytest.raises(ValueError, match="limit: expected a positive"):
        rows.normal_mixture(2, limit=0.0)
