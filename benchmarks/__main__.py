# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks`: every question, or those that are named, answered in one run."""

import argparse
import importlib
import sys
from contextlib import ExitStack
from pathlib import Path

from experiments.launch import keep_memory

QUESTIONS = (
    "limits",
    "dispatch",
    "convolution",
    "normalization",
    "attention",
    "losses",
    "optimizers",
    "update_rules",
    "families",
    "flows",
    "diffusion",
    "gans",
    "recurrence",
    "language",
    "pixels",
    "energies",
    "graphs",
    "hidden_markov",
    "mixtures",
    "ensembles",
    "compile_time",
    "memory",
)


def main() -> None:
    """Write JSON lines as they come, then the table and the picture."""
    options = arguments().parse_args()
    # Before the first array: the platform is chosen once in a process.
    import jax

    if options.device:
        jax.config.update("jax_platforms", options.device)
    from benchmarks import limits, report, table
    from benchmarks.case import FULL, QUICK
    from benchmarks.peers.client import Peer

    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    with ExitStack() as stack:
        peer = stack.enter_context(Peer(options.torch)) if options.torch else None
        stream = stack.enter_context(open(options.out / "results.jsonl", "w", encoding="utf-8"))
        versions = {"torch": peer.version} if peer else {}
        for question in options.only or QUESTIONS:
            module = importlib.import_module(f"benchmarks.{question}")
            effort = QUICK if options.quick else FULL
            for row in module.lines(effort, limits.measure(), peer):
                results.append({"question": question, **row, **versions, **report.environment()})
                print(report.line(results[-1]), file=stream, flush=True)
                print(question, *(f"{k}: {v}" for k, v in row.items()), sep=" | ", flush=True)
    (options.out / "results.md").write_text(table.markdown(results), encoding="utf-8")
    table.picture(results, options.out / "results.png")
    print(f"results: {options.out / 'results.md'}, {options.out / 'results.png'}")


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, help="these questions alone")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a first look")
    parser.add_argument("--device", choices=("cpu", "cuda", "tpu"), help="where to run")
    parser.add_argument(
        "--torch",
        nargs="?",
        const=sys.executable,
        default="",
        metavar="PYTHON",
        help="compare to PyTorch as this interpreter has it; the running one if none is named",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/benchmarks"), help="where the results are written"
    )
    return parser


if __name__ == "__main__":
    keep_memory("benchmarks")
    main()
