# SPDX-License-Identifier: Apache-2.0
"""Small language models of every kind of network, with NumPy's weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.layers import GRU, LSTM
from jaxml.models.autoregressive.language import LanguageModel
from jaxml.nn import RMSNorm, TokenRecurrent, Transformer

K, T = 3, 5
MODERN = {"rotary": True, "norm": RMSNorm, "n_kv_heads": 1, "gated_mlp": True, "expansion": 1}
MAKE = {
    "lstm": lambda **o: TokenRecurrent(LSTM, K + 1, (6, 5), K, **o, rngs=nnx.Rngs(0)),
    "gru": lambda **o: TokenRecurrent(
        GRU, K + 1, (6,), K, **{"n_embedding": 4, **o}, rngs=nnx.Rngs(0)
    ),
    "transformer": lambda **o: Transformer(
        K + 1, 8, 2, 2, K, length=T, causal=True, **o, rngs=nnx.Rngs(0)
    ),
    "modern": lambda **o: Transformer(
        K + 1, 8, 2, 2, K, length=T, causal=True, **MODERN, **o, rngs=nnx.Rngs(0)
    ),
}


@pytest.fixture(scope="session")
def kinds():
    """The networks by name, `make(**options)`; 3 tokens, sequences of 5."""
    return MAKE


@pytest.fixture(scope="session")
def language_model():
    """`language_model(name, dtype)`: a model filled by NumPy; nothing is compiled for it."""

    def build(name, dtype=float, scale=0.7, **options):
        rng = np.random.default_rng(0)
        shapes = jax.eval_shape(lambda: LanguageModel(MAKE[name](**options), K, T))
        return jax.tree.map(lambda s: jnp.asarray(scale * rng.normal(size=s.shape), dtype), shapes)

    return build
