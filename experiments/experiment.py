# SPDX-License-Identifier: Apache-2.0
"""What an experiment is: a module with a Config, a TINY, some FACTS and a `build`.

Where the curves of all metrics are not the ones to look at, it also has `panels(columns)`, which
makes the report's panels of the columns of the log, and `plot(columns, directory)`, which draws
`final-<name>.png`. What the history of a run tells is said by `findings(columns, validation)`, a
mapping of names to texts.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from experiments.config import suggestion
from experiments.options import ConfigError, printable
from jaxml.data.error import DataError
from jaxml.metrics import Evidence
from jaxml.training.storage.directory import one_line
from jaxml.types import Batches, Key, Model, Rule, State

NAMES = (
    "vae_digits",
    "vae_mnist",
    "conv_vae_mnist",
    "vqvae_fashion",
    "digits_classifier",
    "optimizers_digits",
    "flow_toys",
    "flow_uci",
    "spline_bsds300",
    "flow_digits",
    "realnvp_mnist",
    "glow_mnist",
    "hmm_heartbeat",
    "gmm_faithful",
    "ising_grid",
    "diffusion_heartbeat",
    "diffusion_swissroll",
    "diffusion_toys",
    "flow_matching_toys",
    "diffusion_digits",
    "flow_matching_digits",
    "diffusion_mnist",
    "masked_diffusion_text",
    "diffusion_cifar",
    "pixelcnn_mnist",
    "lstm_shakespeare",
    "gru_shakespeare",
    "transformer_shakespeare",
    "lstm_chorales",
    "made_binary",
    "gan_ring",
    "dcgan_digits",
    "wgan_gp_mnist",
    "cgan_fashion",
    "sngan_fashion",
    "energy_toys",
    "rbm_digits",
    "energy_digits",
    "jem_digits",
)
"""Every experiment, in the order in which a reader should meet them."""


class Facts(NamedTuple):
    """What `list` shows of an experiment.

    Attributes:
      family: the model family.
      data: the data set and its preparation.
      expected: the number to expect, with its unit and its meaning.
      minutes: how long training takes on two CPU cores.
    """

    family: str
    data: str
    expected: str
    minutes: float


class Sheet(NamedTuple):
    """A picture made of small images.

    Attributes:
      images: `(n, H, W)` or `(n, H, W, 3)`, intensities in [0, 1].
      columns: images a row.
      caption: what a reader sees.
    """

    images: np.ndarray
    columns: int
    caption: str


class Experiment(NamedTuple):
    """What `build(config)` returns; every function in it is pure but for its pictures' pixels.

    Attributes:
      model: freshly initialized.
      rule: how it learns.
      batches: the training data.
      learned: `(model, state) -> model`: the one to look at (an average, or the model itself).
      draw: `(model, key) -> sheets`, by file name: samples, reconstructions.
      validate: `(model, key) -> {name: number}` on the validation split, during training.
      n_test: examples in the test split.
      evaluate: `(model, key, progress) -> evidence` on the test split; `progress(n_done)`.
      sample: `(model, key, n) -> Sheet`; None where there is nothing to draw from.
      diagnose: `(model, key) -> {name: text}`: what a person should know beside the evidence.
    """

    model: Model
    rule: Rule
    batches: Batches
    learned: Callable[[Model, State], Model]
    draw: Callable[[Model, Key], Mapping[str, Sheet]]
    validate: Callable[[Model, Key], Mapping[str, float]]
    n_test: int
    evaluate: Callable[[Model, Key, Callable[[int], None]], Sequence[Evidence]]
    sample: Callable[[Model, Key, int], Sheet] | None
    diagnose: Callable[[Model, Key], Mapping[str, str]]


def find(name: str) -> ModuleType:
    """The module of a listed experiment; a name never reaches the import system unlisted.

    Raises:
      ConfigError: the name is not listed.
    """
    if name not in NAMES:
        raise ConfigError(f"{printable(name)}: unknown experiment{suggestion(name, NAMES)}")
    return importlib.import_module(f"experiments.{name}")


def build(module: ModuleType, settings: Any, data_dir: str) -> Experiment:
    """The experiment of a configuration.

    Args:
      module: the experiment's (`find`).
      settings: an instance of its `Config`.
      data_dir: where data sets lie; the environment's JAXML_DATA_DIR if empty.

    Raises:
      ConfigError: each option is in range, but not all of them together, or not with these data.
      DataError: the data are missing or damaged.
    """
    try:
        return module.build(settings, data_dir or None)
    except (ConfigError, DataError):
        raise
    except ValueError as error:
        raise ConfigError(one_line(f"{module.__name__.rpartition('.')[2]}: {error}")) from error
