# SPDX-License-Identifier: Apache-2.0
"""One-hot labels, imputation and standardization against NumPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.data import encode


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_one_hot_has_a_column_for_every_class(n_classes):
    """Rows of the identity; two classes give two columns, where LabelBinarizer gives one."""
    from sklearn.preprocessing import LabelBinarizer

    label = np.arange(n_classes, dtype=np.int32)[::-1].copy()
    found = jax.jit(encode.one_hot, static_argnums=1)(jnp.asarray(label), n_classes)
    np.testing.assert_array_equal(found, np.eye(n_classes)[label])
    theirs = LabelBinarizer().fit_transform(label)
    assert theirs.shape[1] == (1 if n_classes == 2 else n_classes)


def test_one_hot_keeps_leading_axes_and_drops_strangers():
    label = jnp.array([[0, 1], [2, 7], [-1, 1]], jnp.int32)
    found = encode.one_hot(label, 3)
    assert found.shape == (3, 2, 3)
    np.testing.assert_array_equal(found.sum(axis=-1), [[1, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(jax.vmap(lambda y: encode.one_hot(y, 3))(label), found)
    with pytest.raises(ValueError, match="n_classes"):
        encode.one_hot(label, 1)


def table(seed=0, missing=0.3):
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, 2.0, size=(60, 4)).astype(np.float32)
    x[rng.random(x.shape) < missing] = np.nan
    x[:, 2] = 7.0
    return x


def test_statistics_are_those_of_the_observed_training_values():
    """NumPy's nanmean and nanstd; a constant column keeps scale 1."""
    x = table()
    found = jax.jit(encode.fit)(jnp.asarray(x))
    np.testing.assert_allclose(found.mean, np.nanmean(x, axis=0), rtol=1e-5)
    expected = np.nanstd(x, axis=0)
    expected[2] = 1.0
    np.testing.assert_allclose(found.scale, expected, rtol=1e-5)
    mask = jnp.asarray(~np.isnan(x))
    masked = encode.fit(jnp.asarray(np.nan_to_num(x, nan=1e6)), mask)
    np.testing.assert_allclose(masked.mean, found.mean, rtol=1e-6)
    np.testing.assert_allclose(masked.scale, found.scale, rtol=1e-6)


def test_a_column_never_observed_stays_finite():
    found = encode.fit(jnp.full((5, 1), jnp.nan))
    assert found.mean[0] == 0
    assert found.scale[0] == 1


def test_gaps_of_the_test_set_are_filled_with_the_training_mean():
    """scikit-learn's SimpleImputer fitted on train; values that are present stay as they are."""
    from sklearn.impute import SimpleImputer

    train, test = table(0), table(1)
    statistics = encode.fit(jnp.asarray(train))
    found = np.asarray(encode.impute(jnp.asarray(test), statistics))
    np.testing.assert_allclose(found, SimpleImputer().fit(train).transform(test), rtol=1e-5)
    np.testing.assert_array_equal(found[~np.isnan(test)], test[~np.isnan(test)])
    gradient = jax.grad(lambda x: encode.impute(x, statistics).sum())(jnp.asarray(test))
    np.testing.assert_array_equal(gradient, ~np.isnan(test))


def test_standardizing_uses_train_and_inverts():
    """Zero mean and unit variance on train, the same map on test, undone exactly."""
    train, test = table(0, missing=0.0), table(1, missing=0.0)
    statistics = encode.fit(jnp.asarray(train))
    z = np.asarray(encode.standardize(jnp.asarray(train), statistics))
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=0)[[0, 1, 3]], 1, rtol=1e-5)
    z = encode.standardize(jnp.asarray(test), statistics)
    scale = train.std(axis=0)
    scale[2] = 1
    np.testing.assert_allclose(z, (test - train.mean(axis=0)) / scale, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encode.unstandardize(z, statistics), test, rtol=1e-5)
