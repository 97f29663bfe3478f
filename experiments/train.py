# SPDX-License-Identifier: Apache-2.0
"""`train NAME`: from a configuration to a directory with samples, evidence and a report."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments import arguments, config, outcome
from experiments.experiment import Experiment, build, find
from experiments.options import ConfigError
from jaxml.data import example_ids
from jaxml.training import NonFiniteError, crash, fit, progress, tensorboard
from jaxml.training import run as runs
from jaxml.training.signal import Inbox, inbox

TENSORBOARD = "tensorboard"
"""Where in a run its events are, if tensorboardX is installed: a point each time `fit` yields, the
mean over the steps since the last, at most a chunk or half a second of them."""

ROOT = Path("runs")
"""Where runs are kept unless one says otherwise; made when it is needed."""

RESUME = {"never": runs.never, "auto": runs.newest, "last-good": runs.last_good}


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run, beside what to run."""

    run_dir: str = ""
    """Where the run is kept; runs/NAME if empty. Its parent must exist, but for `runs`."""
    resume: Literal["never", "auto", "last-good"] = "never"
    """Begin only (never), or continue from the newest (auto) or the newest sound checkpoint."""
    data_dir: str = ""
    """Where data sets lie; the environment's JAXML_DATA_DIR if empty."""
    tiny: bool = False
    """A run of under a minute, to see that everything works; its numbers mean nothing."""
    allow_change: tuple[str, ...] = ()
    """Parts of the run's identity that may differ on resume: config.batch_size, data, ..."""
    log_sample_ids: str = ""
    """A file for the example ids of every step, one line a step; continued when resumed."""


def main(argv: Sequence[str]) -> None:
    """Train one experiment, or continue a run."""
    if not argv or argv[0].startswith("-"):
        raise ConfigError("train: expected the name of an experiment (`list` shows them)")
    name, words = argv[0], argv[1:]
    module = find(name)
    base = module.Config()
    if "--tiny" in words:
        base = dataclasses.replace(base, **module.TINY)
    if {"-h", "--help"} & set(words):
        print(arguments.usage(Options(), f"train {name}"), arguments.usage(base, f"train {name}"))
        return
    options, settings = arguments.parse_each([Options(), base], words)
    with inbox() as box:
        directory = Path(options.run_dir) if options.run_dir else ROOT / name
        if directory.parent == ROOT:
            ROOT.mkdir(exist_ok=True)
        with runs.open_run(directory, resume=RESUME[options.resume]) as run:
            experiment = build(module, settings, options.data_dir)
            learn(name, experiment, settings, options, run, box)


def learn(
    name: str, experiment: Experiment, settings: Any, options: Options, run: runs.Run, box: Inbox
) -> None:
    """Train to the last step, then look at what was learned."""
    key = jax.random.key(settings.seed)
    text = config.dump(settings)
    identity = {
        "experiment": name,
        "config": json.loads(text)["config"],
        "data": dict(experiment.batches.fingerprint),
    }
    state = experiment.rule.init(experiment.model, jax.random.fold_in(key, 0))
    model, state = run.start(identity, text, experiment.model, state, allow=options.allow_change)
    steps = fit(
        experiment.rule,
        model,
        experiment.batches,
        key,
        steps=settings.steps,
        state=state,
        first=run.first,
        chunk=(settings.save_every, settings.look_every),
        seconds=0.5,
    )
    step, looked = run.first, False
    with (
        id_log(options.log_sample_ids, experiment, run.first) as append_ids,
        tensorboard.events(run.directory / TENSORBOARD, run.first) as events,
        progress.bar(name, settings.steps, run.first) as bar,
        box.deferred(),
    ):
        try:
            for step, model, state, metrics in steps:
                run.record(step, metrics)
                events.scalars(step, metrics)
                append_ids(len(next(iter(metrics.values()))), step)
                looked = step % settings.look_every == 0
                if looked:
                    outcome.look(run, experiment, step, model, state, key)
                if step % settings.save_every == 0 or step == settings.steps or box.pending:
                    run.save(step, model, state)
                bar.update(step, metrics)
                if box.pending:
                    run.wait()
                    box.check()
        except NonFiniteError as error:
            crash.write(run.directory, error, identity)
            raise
        run.wait()
    outcome.conclude(name, experiment, settings, run, model, state, run.seconds, looked=looked)


@contextmanager
def id_log(path: str, experiment: Experiment, first: int) -> Iterator[Callable[[int, int], None]]:
    """`append(n, step)`: a line `{"step": ..., "ids": [...]}` for each of n steps up to `step`."""
    if not path:
        yield lambda n, step: None
        return
    with runs.open_log(path, first) as append:

        def write(n: int, step: int) -> None:
            facts = experiment.batches.fingerprint
            ids = [np.asarray(example_ids(facts, i)) for i in range(step - n, step)]
            append(step, {"ids": np.stack(ids)})

        yield write
