# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for a person: pictures while it trains; evidence and a report when it ends."""

import math
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
import optax

import jaxml
from experiments import pages
from experiments.experiment import Experiment, Sheet, find
from jaxml.metrics import Evidence, to_json
from jaxml.training import figure, log, progress
from jaxml.training.run import METRICS, SAMPLES, Run, digests, open_log
from jaxml.types import Key, Model, State

LOOK, EVALUATE, SAMPLE, DIAGNOSE = (np.uint32(2**32 - 2 - i) for i in range(4))
"""What the run's key is folded with, beside the int32 steps of training."""


def look(run: Run, experiment: Experiment, step: int, model: Model, state: State, key: Key) -> None:
    """Draw and validate what has been learned so far, with the same noise each time."""
    learned = experiment.learned(model, state)
    numbers = experiment.validate(learned, jax.random.fold_in(key, LOOK))
    with open_log(run.directory / pages.VALIDATION, step - 1) as append:
        append(step, {name: np.array([value]) for name, value in numbers.items()})
    with open_log(run.directory / pages.TIMES, step - 1) as append:
        append(step, {"seconds": np.array([run.seconds])})
    draw(run.directory, experiment, learned, key, f"step-{step:07d}-")


def draw(directory: Path, experiment: Experiment, learned: Model, key: Key, prefix: str) -> None:
    """Write every sheet as `samples/<prefix><name>.png`."""
    (directory / SAMPLES).mkdir(exist_ok=True)
    for name, sheet in experiment.draw(learned, jax.random.fold_in(key, SAMPLE)).items():
        save(sheet, directory / SAMPLES / f"{prefix}{name}.png")


def keep(directory: Path, step: int) -> None:
    """The pictures of a step as the final ones."""
    prefix = f"step-{step:07d}-"
    for path in (directory / SAMPLES).glob(f"{prefix}*.png"):
        shutil.copyfile(path, path.with_name(f"final-{path.name.removeprefix(prefix)}"))


def save(sheet: Sheet, path: Path) -> None:
    """Write one sheet as a PNG file."""
    figure.sheet(sheet.images, path, columns=sheet.columns)


def evaluate(name: str, experiment: Experiment, learned: Model, key: Key) -> Sequence[Evidence]:
    """The evidence on the test split, with a progress bar over its examples."""
    with progress.bar(f"{name}: evaluating", experiment.n_test) as bar:
        return experiment.evaluate(learned, jax.random.fold_in(key, EVALUATE), bar.update)


def conclude(
    name: str,
    experiment: Experiment,
    settings: Any,
    run: Run,
    model: Model,
    state: State,
    seconds: float,
    *,
    looked: bool = False,
) -> None:
    """Evidence, the last pictures, `result.json` and `report.html`.

    If this process has just `looked` at the last step, its pictures are the last ones.
    """
    key, step = jax.random.key(settings.seed), settings.steps
    learned = experiment.learned(model, state)
    columns = log.read(run.directory / METRICS)
    if looked:
        keep(run.directory, step)
    else:
        draw(run.directory, experiment, learned, key, "final-")
    plot = getattr(find(name), "plot", None)
    if plot:
        plot(columns, run.directory / SAMPLES)
    evidence = evaluate(name, experiment, learned, key)
    result = {
        "experiment": name,
        "step": step,
        "seconds": round(seconds, 1),
        "metrics": {k: last(v) for k, v in columns.items()},
        "evidence": [to_json(item) for item in evidence],
        "sha256": digests(model, state, key, experiment.batches.fingerprint, step),
        "environment": environment(),
    }
    run.finish(result)
    diagnosis = dict(experiment.diagnose(learned, jax.random.fold_in(key, DIAGNOSE)))
    findings = getattr(find(name), "findings", None)
    if findings:
        looks = run.directory / pages.VALIDATION
        diagnosis |= findings(columns, log.read(looks) if looks.exists() else {})
    pages.write(run.directory, settings, diagnosis, draws=experiment.sample is not None)
    tell(evidence)
    print(f"report: {run.directory / 'report.html'}")


def last(column: np.ndarray) -> Any:
    """The last value as JSON can say it: a step that was idle or skipped has none."""
    plain = np.asarray(column[-1], np.float64).tolist()  # Python floats: np.int64 is no JSON
    return _or_none(plain)


def _or_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_or_none(entry) for entry in value]
    return value if math.isfinite(value) else None


def tell(evidence: Sequence[Evidence]) -> None:
    """One line a piece of evidence on stdout, with the family where there are several."""
    several = len({item.family for item in evidence}) > 1
    for item in evidence:
        name = item.protocol.get("estimator", item.quantity)
        print(f"{name}, {item.family}: {item}" if several else f"{name}: {item}")


def environment() -> dict[str, str]:
    """The versions and the device that produced the numbers."""
    return {
        "jaxml": jaxml.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "optax": optax.__version__,
        "numpy": np.__version__,
        "device": jax.devices()[0].device_kind,
        "threads": threads(),
        "platform": platform.platform(terse=True),
    }


def threads() -> str:
    """How many threads XLA computes with on a CPU: NPROC, or the cores this process may use.

    Sums over a batch are cut into as many parts as there are threads: the last bits depend on it.
    """
    cores = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return os.environ.get("NPROC", "") or str(len(cores))
