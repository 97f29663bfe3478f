# SPDX-License-Identifier: Apache-2.0
"""A GRU on the characters of tiny shakespeare, scored in nats a character.

Command: python -m experiments train gru_shakespeare
Hardware: 2 CPU cores, about 14 minutes.
Expected: see FACTS below and experiments/README.md.

One layer that reads one-hot characters. It learns from windows and is scored with longer ones: its
state has one size however far the text goes back.
"""

import dataclasses

from experiments import recurrent_shakespeare
from experiments.experiment import Experiment, Facts
from experiments.recurrent_shakespeare import TINY
from jaxml.layers import GRU

FACTS = Facts("autoregressive", "tiny shakespeare, 65 characters", "1.589 nats a character", 14)

__all__ = ["FACTS", "TINY", "Config", "build"]


@dataclasses.dataclass(frozen=True)
class Config(recurrent_shakespeare.Config):
    """The options of gru_shakespeare."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `tinyshakespeare.npz` in the data directory."""
    return recurrent_shakespeare.build(GRU, "GRU", config, data_dir)
