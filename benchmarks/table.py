# SPDX-License-Identifier: Apache-2.0
"""Results to look at: a table in Markdown, and a picture of every ratio to ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COMMON = ("question", "device", "jax", "jaxlib", "flax", "python", "revision", "torch")
"""What stands above the tables instead of in every row."""


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """One table a question."""
    text = [_versions(results[0])] if results else ["no results"]
    for question in dict.fromkeys(row["question"] for row in results):
        rows = [row for row in results if row["question"] == question]
        columns = list(dict.fromkeys(key for row in rows for key in row if key not in COMMON))
        text += ["", f"## {question}", ""]
        text += [_line(columns), _line(["---"] * len(columns))]
        text += [_line([_show(row.get(column, "")) for column in columns]) for row in rows]
    return "\n".join(text) + "\n"


def picture(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A bar for every form that was compared to ours: to the right of 1, ours is faster."""
    from matplotlib import pyplot as plt

    rows = [row for row in results if row.get("time / ours") not in (None, 1.0)]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(10, 1 + 0.22 * len(rows)), layout="constrained")
    names = [f"{row['case']}: {row['form']}" for row in rows]
    values = [row["time / ours"] for row in rows]
    colours = ["#2a6f97" if value >= 1 else "#c1666b" for value in values]
    axes.barh(range(len(rows)), [v - 1 for v in values], left=1, color=colours, height=0.7)
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set(xscale="log", xlabel="time / time of ours", ylim=(len(rows) - 0.4, -0.6))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="black", linewidth=0.8)
    for i, value in enumerate(values):
        side = "left" if value >= 1 else "right"
        axes.text(value, i, f" {value:.2f} ", va="center", ha=side, fontsize=6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _versions(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {row[key]}" for key in COMMON[1:] if key in row)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
