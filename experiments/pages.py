# SPDX-License-Identifier: Apache-2.0
"""The report of a run, gathered from its directory."""

import dataclasses
import inspect
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import config
from experiments.experiment import find
from jaxml.metrics import from_json
from jaxml.training import figure, log, report
from jaxml.training.run import METRICS, RESULT

VALIDATION = "validation.jsonl"
TIMES = "times.jsonl"
"""How long the run had been trained at each validation; apart, for it is not the same twice."""


def write(directory: Path, settings: Any, diagnosis: Mapping[str, Any], *, draws: bool) -> Path:
    """Write `report.html` from what the run left: its log, pictures and result."""
    name = config.name_of(type(settings))
    result = json.loads((directory / RESULT).read_text())
    first = (inspect.getdoc(find(name)) or name).splitlines()[0]
    path = directory / "report.html"
    report.write(
        path,
        title=name,
        summary=f"{first} {result['step']} steps in {result['seconds']:g} s.",
        config=dataclasses.asdict(settings),
        evidence=[from_json(item) for item in result["evidence"]],
        curves=curves(directory, name),
        sheets=sheets(directory),
        diagnostics=diagnosis,
        digests=result["sha256"],
        environment=result["environment"],
        commands=commands(directory, name, settings, draws=draws),
    )
    return path


def curves(directory: Path, name: str) -> Mapping[str, Mapping[str, figure.Series]]:
    """The experiment's own panels, or all of training and validation; what both have shares one."""
    own = getattr(find(name), "panels", None)
    if own:
        return own(log.read(directory / METRICS))
    panels: dict[str, dict[str, figure.Series]] = {}
    for split, file in (("train", METRICS), ("validation", VALIDATION)):
        if not (directory / file).exists():
            continue
        columns = {
            name if name == "step" else f"{split}/{name.removeprefix('learn/')}": column
            for name, column in log.read(directory / file).items()
        }
        for panel, group in figure.panels(columns).items():
            panels.setdefault(panel, {}).update(group)
    return {**panels, **against_time(directory)}


def against_time(directory: Path) -> Mapping[str, Mapping[str, figure.Series]]:
    """The first number of the validation over the minutes, or seconds, of training."""
    if not (directory / VALIDATION).exists() or not (directory / TIMES).exists():
        return {}
    validation, times = log.read(directory / VALIDATION), log.read(directory / TIMES)
    name = next((name for name in validation if name != "step"), "step")
    both, at, at_time = np.intersect1d(validation["step"], times["step"], return_indices=True)
    if name == "step" or len(both) < 2:
        return {}
    seconds = times["seconds"][at_time]
    unit, size = ("minutes", 60) if seconds[-1] >= 300 else ("seconds", 1)
    series = figure.Series(seconds / size, validation[name][at], unit)
    return {f"{name} against {unit}": {"validation": series}}


def sheets(directory: Path) -> Mapping[str, list[tuple[str, Path]]]:
    """The pictures by what they show: the last one large, then the film of the training."""
    found: dict[str, list[tuple[str, Path]]] = {}
    for path in sorted((directory / "samples").glob("final-*.png")):
        name = path.stem.removeprefix("final-")
        found[name.capitalize()] = [(f"{name}, at the end", path)]
    for path in sorted((directory / "samples").glob("step-*-samples.png")):
        step = int(path.stem.split("-")[1])
        found.setdefault("Samples over training time", []).append((f"step {step}", path))
    return dict(sorted(found.items(), key=lambda item: not item[0].startswith("Samples")))


def commands(directory: Path, name: str, settings: Any, *, draws: bool) -> Mapping[str, str]:
    """How to do it again, go on, draw if the model draws, and measure."""
    run = shlex.quote(str(directory))
    changed = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value == field.default:
            continue
        option = field.name.replace("_", "-")
        if isinstance(value, bool):
            changed.append(f"--{option}" if value else f"--no-{option}")
        else:
            words = value if isinstance(value, tuple) else (value,)
            changed.append(f"--{option} {' '.join(shlex.quote(str(word)) for word in words)}")
    options = "".join(f" {option}" for option in changed)
    base = "python -m experiments"
    draw = {"Draw from it": f"{base} sample {run} --num 100 --seed 1"}
    return {
        "Train it again": f"{base} train {name} --run-dir runs/again{options}",
        "Continue it": f"{base} train {name} --run-dir {run} --resume auto{options}",
        **(draw if draws else {}),
        "Measure it": f"{base} evaluate {run}",
    }
