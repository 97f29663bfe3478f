# SPDX-License-Identifier: Apache-2.0
"""What the recurrent networks on tiny shakespeare share: options and network."""

import dataclasses

from flax import nnx

from experiments import shakespeare
from experiments.experiment import Experiment
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.models.autoregressive import language
from jaxml.nn import TokenRecurrent
from jaxml.nn.recurrence import Kind

TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 4,
    "length": 16,
    "context": 8,
    "n_scored": 8,
    "width": 16,
    "n_test": 8,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of a recurrent network on tiny shakespeare."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all draws."""
    steps: Count = 9000
    """Gradient steps."""
    batch_size: Count = 32
    """Windows a step."""
    length: Count = 128
    """Characters of a window in training, through all of which gradients go back."""
    width: Count = 512
    """Features of the state of each layer."""
    n_layers: Count = 1
    """Layers."""
    dropout: Decay = 0.1
    """Share of a layer's outputs that the next one does not see in training."""
    learning_rate: Positive = 2e-3
    """Adam's rate after 100 steps of warm-up; it falls along a cosine to 0 at the last step."""
    weight_decay: NonNegative = 0.01
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    context: Count = 256
    """Characters that every scored character is read behind, at least."""
    n_scored: Count = 128
    """Characters scored in a window."""
    n_test: Count = 1000
    """Windows that are evaluated, at most."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between samples and validations."""


def build(kind: Kind, family: str, config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a kind of cell, from `tinyshakespeare.npz` in the data directory."""
    text = shakespeare.read(data_dir)
    n = len(text.symbols)
    widths = (config.width,) * config.n_layers
    network = TokenRecurrent(
        kind, n + 1, widths, n, dropout=config.dropout, rngs=nnx.Rngs(config.seed)
    )
    model = language.LanguageModel(network, n, config.length)
    return shakespeare.experiment(config, text, model, family)
