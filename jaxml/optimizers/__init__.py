# SPDX-License-Identifier: Apache-2.0
"""Update rules as `(init, update)` pairs, learning-rate schedules, averages of parameters."""

from jaxml.optimizers import early_stopping, schedule
from jaxml.optimizers.adafactor import adafactor
from jaxml.optimizers.adagrad import adagrad
from jaxml.optimizers.adam import adam, adamw, amsgrad, nadam, radam
from jaxml.optimizers.averaging import exponential_average, polyak_average
from jaxml.optimizers.clip import clip_adaptively, clip_by_norm, clip_by_value, global_norm
from jaxml.optimizers.lamb import lamb
from jaxml.optimizers.lion import lion
from jaxml.optimizers.muon import muon, orthogonalize
from jaxml.optimizers.optimizer import Optimizer, Rate
from jaxml.optimizers.rmsprop import rmsprop
from jaxml.optimizers.schedule_free import at_average, schedule_free
from jaxml.optimizers.sgd import behind, momentum, nesterov, sgd

__all__ = [
    "Optimizer",
    "Rate",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "at_average",
    "behind",
    "clip_adaptively",
    "clip_by_norm",
    "clip_by_value",
    "early_stopping",
    "exponential_average",
    "global_norm",
    "lamb",
    "lion",
    "momentum",
    "muon",
    "nadam",
    "nesterov",
    "orthogonalize",
    "polyak_average",
    "radam",
    "rmsprop",
    "schedule",
    "schedule_free",
    "sgd",
]
