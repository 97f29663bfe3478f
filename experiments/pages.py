# SPDX-License-Identifier: Apache-2.0
"""The report of a run, gathered from its directory."""

import dataclasses
import inspect
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import config
from experiments.experiment import find
from jaxml.metrics import from_json
from jaxml.training import figure, log, report
from jaxml.training.run import METRICS, RESULT

VALIDATION = "validation.jsonl"


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
    panels = {}
    for split, file in (("train", METRICS), ("validation", VALIDATION)):
        if not (directory / file).exists():
            continue
        columns = {
            name if name == "step" else f"{split}/{name.removeprefix('learn/')}": column
            for name, column in log.read(directory / file).items()
        }
        for panel, group in figure.panels(columns).items():
            panels.setdefault(panel, {}).update(group)
    return panels


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
