# SPDX-License-Identifier: Apache-2.0
"""PyTorch, in double precision, computes the same values and gradients.

The file beside was written by `torch_references.py`; where PyTorch is installed, it is written
again and compared.
"""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import batch_normalization, normalization, padding, pooling
from jaxml.layers.attention import attention
from jaxml.layers.convolution import convolution, transposed_convolution
from jaxml.layers.gru import GRU, gru
from jaxml.layers.lstm import LSTM, lstm
from jaxml.layers.recurrence import bidirectional
from jaxml.layers.simple_recurrence import RNN, rnn
from jaxml.layers.weight_normalization import weight_norm

FILE = Path(__file__).with_name("torch_references.npz")


def padded_convolution(x, kernel, *, padding: list, mode="zero", **options):
    """Zeros are an option of the convolution, other paddings a function before it."""
    if mode == "zero":
        return convolution(x, kernel, padding=pairs(padding), **options)
    return convolution(MODES[mode](x, pairs(padding)), kernel, **options)


MODES = {"reflect": padding.reflect, "edge": padding.edge, "circular": padding.circular}


def pairs(sides):
    return tuple((low, high) for low, high in sides)


def batch_norm(x, scale, bias, mean, variance, *, training):
    if not training:
        y = batch_normalization.batch_norm_evaluation(x, mean, variance, scale, bias)
        return jnp.concatenate([y.ravel(), mean, variance])
    y, mean, variance = batch_normalization.batch_norm(x, mean, variance, scale, bias)
    return jnp.concatenate([y.ravel(), mean, variance])


def recurrent(layer, kind, x, *, layers, both, **arrays):
    """A stack, each layer reading what the one below says, in one or both directions."""

    def one(name):
        fields = {field: arrays[f"{name}/{field}"] for field in kind._fields}
        return partial(layer, parameters=kind(**fields))

    for i in range(layers):
        forward = one(f"{i}f")
        x = (bidirectional(forward, one(f"{i}b")) if both else forward)(x)[1]
    return x


KINDS = {
    "convolution": padded_convolution,
    "transposed_convolution": transposed_convolution,
    "max_pool": pooling.max_pool,
    "average_pool": pooling.average_pool,
    "batch_norm": batch_norm,
    "group_norm": normalization.group_norm,
    "instance_norm": normalization.instance_norm,
    "layer_norm": normalization.layer_norm,
    "rms_norm": normalization.rms_norm,
    "weight_norm": weight_norm,
    "lstm": partial(recurrent, lstm, LSTM),
    "gru": partial(recurrent, gru, GRU),
    "rnn": partial(recurrent, rnn, RNN),
    "attention": attention,
}

with np.load(FILE, allow_pickle=False) as opened:
    STORED = {name: opened[name] for name in opened.files}
CASES = json.loads(str(STORED["cases"]))


def arrays(case, part):
    prefix = f"{case}/{part}/"
    return {k.removeprefix(prefix): v for k, v in STORED.items() if k.startswith(prefix)}


def close(found, expected, tolerance, told):
    """Up to `tolerance`, relative to the largest entry."""
    size = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=size, err_msg=told)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(np.float64, 1e-9), pytest.param(np.float32, 2e-4, marks=pytest.mark.slow)],
    ids=["double", "single"],
)
def test_values_and_gradients(kind, dtype, tolerance, x64):
    """Within 1e-9 in double precision and 2e-4 in single, for every input and parameter.

    All cases of a kind are one program, which compiles in a fraction of the time of many.
    """
    cases = [case for case in CASES if CASES[case]["kind"] == kind]
    assert cases

    @jax.jit
    def everything(given, weights):
        def weighed(inputs, case):
            y = KINDS[kind](**inputs, **CASES[case]["options"])
            return jnp.sum(y * weights[case]), y

        return {case: jax.grad(weighed, has_aux=True)(given[case], case) for case in cases}

    given, weights = jax.tree.map(
        lambda a: jnp.asarray(a, dtype),
        ({c: arrays(c, "in") for c in cases}, {c: STORED[f"{c}/cotangent"] for c in cases}),
    )
    for case, (found, y) in everything(given, weights).items():
        gradients = arrays(case, "gradient")
        assert set(gradients) >= set(given[case]) - {"mean", "variance"}
        assert y.dtype == dtype, case
        close(y, STORED[f"{case}/out"], tolerance, case)
        for name, expected in gradients.items():
            close(found[name], expected, tolerance, f"{case}, gradient in {name}")


def test_the_file_is_what_torch_computes():
    """Written again by the PyTorch at hand, it is the same up to rounding."""
    pytest.importorskip("torch")
    from tests.layers import torch_references

    fresh = torch_references.references()
    assert set(fresh) == set(STORED)
    for name in set(fresh) - {"cases", "torch"}:
        np.testing.assert_allclose(fresh[name], STORED[name], rtol=1e-9, atol=1e-12)
    assert str(fresh["cases"]) == str(STORED["cases"])
