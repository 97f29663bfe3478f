# SPDX-License-Identifier: Apache-2.0
"""A causal transformer on the characters of tiny shakespeare, scored in nats a character.

Command: python -m experiments train transformer_shakespeare
Hardware: 2 CPU cores, about 20 minutes.
Expected: see FACTS below and experiments/README.md.

The small recipe of nanoGPT (4 layers of 128 features, 64 characters, 12 windows a step, learned
positions, an MLP of 4 · 128 GELUs) is `--length 64 --context 32 --n-scored 32 --batch-size 12
--steps 2000 --learning-rate 1e-3 --no-rotary --no-gated-mlp --expansion 4 --n-kv-heads 4
--decay 0`.
"""

import dataclasses

import jax
from flax import nnx

from experiments import shakespeare
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.layers.activation import gelu_by_tanh
from jaxml.models.autoregressive import language
from jaxml.nn import Transformer

FACTS = Facts("autoregressive", "tiny shakespeare, 65 characters", "1.463 nats a character", 20)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 4,
    "length": 16,
    "context": 8,
    "n_scored": 8,
    "width": 16,
    "n_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 1,
    "n_test": 8,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of transformer_shakespeare."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all draws."""
    steps: Count = 2500
    """Gradient steps."""
    batch_size: Count = 16
    """Windows a step."""
    length: Count = 256
    """Characters of a window, the most that a character is read behind."""
    width: Count = 128
    """Features of the residual stream."""
    n_layers: Count = 4
    """Blocks."""
    n_heads: Count = 4
    """Heads of queries in each attention."""
    n_kv_heads: Count = 4
    """Heads of keys and values; they divide those of queries."""
    rotary: bool = True
    """Positions turn queries and keys; otherwise they are learned."""
    gated_mlp: bool = True
    """SwiGLU in place of GELU."""
    expansion: Count = 3
    """Hidden features of an MLP over those of the residual stream."""
    dropout: Decay = 0.0
    """Share of a branch's outputs left out in training."""
    learning_rate: Positive = 2e-3
    """Adam's rate after 100 steps of warm-up; it falls along a cosine to 0 at the last step."""
    weight_decay: NonNegative = 0.1
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    context: Count = 128
    """Characters that every scored character is read behind, at least."""
    n_scored: Count = 128
    """Characters scored in a window; together with the context they fill one at most."""
    n_test: Count = 1000
    """Windows that are evaluated, at most."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between samples and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `tinyshakespeare.npz` in the data directory."""
    text = shakespeare.read(data_dir)
    n = len(text.symbols)
    network = Transformer(
        n + 1,
        config.width,
        config.n_layers,
        config.n_heads,
        n,
        length=config.length,
        causal=True,
        n_kv_heads=config.n_kv_heads,
        rotary=config.rotary,
        expansion=config.expansion,
        gated_mlp=config.gated_mlp,
        activation=jax.nn.silu if config.gated_mlp else gelu_by_tanh,
        dropout=config.dropout,
        rngs=nnx.Rngs(config.seed),
    )
    if config.context + config.n_scored > config.length:
        raise ValueError(
            f"context, n_scored: expected at most length = {config.length} together, "
            f"got {config.context} and {config.n_scored}"
        )
    model = language.LanguageModel(network, n, config.length)
    return shakespeare.experiment(config, text, model, "transformer")
