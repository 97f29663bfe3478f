# SPDX-License-Identifier: Apache-2.0
"""A finished or interrupted run, opened for reading: its experiment and what it has learned."""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments import config
from experiments.experiment import Experiment, build, find
from jaxml.training.run import CHECKPOINTS, CONFIG
from jaxml.training.storage import checkpoint
from jaxml.training.storage.directory import CheckpointError
from jaxml.types import Key, Model, State


class Reopened(NamedTuple):
    """What a run directory holds.

    Attributes:
      name: the experiment's.
      settings: its resolved configuration.
      experiment: built from it.
      key: the run's.
    """

    name: str
    settings: Any
    experiment: Experiment
    key: Key


def reopen(run: str, data_dir: str = "") -> Reopened:
    """Build the experiment of a run again.

    Raises:
      CheckpointError: there is no run.
      ConfigError: its configuration is not one of ours.
    """
    settings = read_settings(run)
    name = config.name_of(type(settings))
    experiment = build(find(name), settings, data_dir)
    return Reopened(name, settings, experiment, jax.random.key(settings.seed))


def read_settings(run: str) -> Any:
    """The resolved configuration of a run.

    Raises:
      CheckpointError: there is no run.
      ConfigError: its configuration is not one of ours.
    """
    path = Path(run) / CONFIG
    if not path.is_file():
        raise CheckpointError(run, f"holds no run: there is no {CONFIG}")
    text = config.read(path)
    module = find(config.experiment_name(text, source=str(path)))
    return config.load(text, module.Config, source=str(path))


def newest(run: str, opened: Reopened) -> tuple[int, Model, State]:
    """Step, model and state of the newest checkpoint.

    Raises:
      CheckpointError: there is none, it is damaged, or it is of another model.
    """
    place = Path(run) / CHECKPOINTS
    step = checkpoint.latest(place)
    if step is None:
        raise CheckpointError(place, "holds no checkpoint yet")
    model, rule = opened.experiment.model, opened.experiment.rule
    state = jax.eval_shape(rule.init, model, opened.key)
    tree, _ = checkpoint.load(place, step, {"model": model, "state": state})
    return step, tree["model"], tree["state"]
