# SPDX-License-Identifier: Apache-2.0
"""How fast does the error of each solver fall with the number of steps, on exact denoisers?

Command: python -m benchmarks.solver_orders --out docs/solver_orders.png
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml import diffusion as d


class Line(NamedTuple):
    """A solver, the order that it should have, and how it is drawn."""

    solver: d.Solver
    order: int
    colour: str
    marker: str


# Colours that stay apart for colour-blind readers, one a family; the marker is the order.
LINES = {
    "DDIM": Line(d.ddim(), 1, "#000000", "o"),
    "Heun": Line(d.heun(), 2, "#cc79a7", "s"),
    "DPM++ 2M": Line(d.dpm_plus_plus(2), 2, "#0072b2", "s"),
    "UniPC 2": Line(d.unipc(2), 2, "#d55e00", "s"),
    "DEIS 2": Line(d.deis(2), 2, "#009e73", "s"),
    "DPM++ 3M": Line(d.dpm_plus_plus(3), 3, "#0072b2", "^"),
    "UniPC 3": Line(d.unipc(3), 3, "#d55e00", "^"),
    "DEIS 3": Line(d.deis(3), 3, "#009e73", "^"),
}
DATA = {
    "Gaussian": ((1.0,), (0.3,), (0.25,)),
    "mixture of two Gaussians": ((0.4, 0.6), (-0.8, 0.7), (0.2, 0.3)),
}
"""Weights, means and variances, of numbers."""
SIZES = (8, 16, 32, 64, 128, 256, 512)
FITTED = (64, 512)

Errors = dict[str, dict[str, list[float]]]


def errors(sizes: Sequence[int] = SIZES) -> Errors:
    """For each data and solver the largest relative error of four paths of the probability flow.

    The noise is that of `edm`, from σ = 80 to 0.002 in times that are equally far apart. Numbers
    are in double precision and the ends of the paths are known: quantiles stay where they are.
    """
    found: Errors = {}
    with jax.enable_x64(True):
        for name, law in DATA.items():
            weights, means, variances = (jnp.asarray(a) for a in law)
            denoise = d.mixture_denoiser(weights, means[:, None], variances[:, None, None])
            first, last = (d.edm().at(jnp.asarray(t)) for t in (1.0, 0.0))
            x = first.sigma * jnp.asarray([-3.0, -1.0, 0.5, 3.0])
            truth = jax.jit(d.mixture_path(weights, means, variances))(x, first, last)
            found[name] = {
                line: [_error(LINES[line].solver, denoise, n, x, truth) for n in sizes]
                for line in LINES
            }
    return found


def _error(solver: d.Solver, denoise: d.Denoise, n: int, x: jax.Array, truth: jax.Array) -> float:
    grid = d.points(d.edm(), jnp.linspace(1.0, 0.0, n + 1), clean=False)
    run = jax.jit(partial(d.integrate, solver, denoise, grid))
    end = run(x[:, None], jax.random.key(0))[:, 0]
    return float(jnp.abs(end - truth).max() / jnp.abs(truth).max())


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """−d log error/d log n by least squares, over the sizes in which orders are read off."""
    both = [(n, e) for n, e in zip(sizes, values, strict=True) if FITTED[0] <= n <= FITTED[1]]
    n, e = np.log(np.asarray(both or list(zip(sizes, values, strict=True)))).T
    return -float(np.polyfit(n, e, 1)[0])


def table(found: Errors, sizes: Sequence[int] = SIZES) -> str:
    """Orders and errors in Markdown."""
    heads = [f"{data}: {what}" for data in found for what in ("order", f"error, n = {sizes[-1]}")]
    rows = [["solver", "theory", *heads], ["---"] * (2 + len(heads))]
    for name, line in LINES.items():
        cells = []
        for lines in found.values():
            cells += [f"{slope(sizes, lines[name]):.2f}", f"{lines[name][-1]:.1e}"]
        rows.append([name, str(line.order), *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def picture(found: Errors, path: Path, sizes: Sequence[int] = SIZES) -> None:
    """A panel for each data: error over steps, with lines of slope 1, 2 and 3 to compare."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(
        1, len(found), figsize=(11, 5.2), sharey=True, layout="constrained"
    )
    for axes, (data, lines) in zip(panels, found.items(), strict=True):
        for name, line in LINES.items():
            axes.loglog(
                sizes, lines[name], color=line.colour, marker=line.marker, markersize=4, lw=1.4
            )
        _label(axes, sizes, lines)
        _guides(axes, sizes, lines)
        axes.set(title=data, xlabel="steps", xlim=(sizes[0] * 0.85, sizes[-1] * 2.6))
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("largest relative error of four paths")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _label(axes: Any, sizes: Sequence[int], lines: dict[str, list[float]]) -> None:
    """Names and measured slopes at the lines' right ends, moved apart where ends are close."""
    names = sorted(lines, key=lambda name: lines[name][-1])
    ends = np.log10([lines[name][-1] for name in names])
    places, apart = ends.copy(), 0.26
    for _ in range(200):
        missing = np.maximum(apart - np.diff(places), 0) / 2
        places[:-1] -= missing
        places[1:] += missing
    for name, end, place in zip(names, ends, places, strict=True):
        axes.annotate(
            f"{name}  ({slope(sizes, lines[name]):.2f})",
            (sizes[-1], 10**end),
            (sizes[-1] * 1.25, 10**place),
            color=LINES[name].colour,
            fontsize=8,
            va="center",
            arrowprops={"arrowstyle": "-", "color": LINES[name].colour, "lw": 0.5},
        )


def _guides(axes: Any, sizes: Sequence[int], lines: dict[str, list[float]]) -> None:
    """Dashed lines of the theory's slopes: 1 and 2 above the solvers of their order, 3 below."""
    n = np.asarray(sizes[-3:], float)
    for order in (1, 2, 3):
        ends = [lines[name][-1] for name, line in LINES.items() if line.order == order]
        last = min(ends) / 2.5 if order == 3 else max(ends) * 2
        height = last * (n / n[-1]) ** -order
        axes.loglog(n, height, color="#888888", ls="--", lw=1)
        sides = ("right", "top") if order == 3 else ("left", "bottom")
        axes.text(
            n[1],
            height[1],
            f" slope {order} ",
            ha=sides[0],
            va=sides[1],
            color="#555555",
            fontsize=8,
        )


def main() -> None:
    """Measure, print the table and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solver_orders", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/solver_orders.png"))
    options = parser.parse_args()
    found = errors()
    print(table(found))
    picture(found, options.out)
    print(f"results: {options.out}")


if __name__ == "__main__":
    main()
