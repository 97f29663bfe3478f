# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG: drawn with the colours of the page, light or dark, and no script."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from jaxml.training.figure.series import Frame, Series, Trace, colours, frame, trace
from jaxml.training.report.markup import Html, element, join, raw

WIDTH, HEIGHT = 440.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 8.0, 24.0
DOT = 2.4


def curves(title: str, group: Mapping[str, Series]) -> Html | None:
    """One panel: title, legend with the last value of each curve, and the curves themselves.

    Returns `None` where no curve has a finite value.
    """
    traces = {label: trace(Series(*s)) for label, s in group.items() if np.isfinite(s[1]).any()}
    if not traces:
        return None
    axis = next(Series(*s).axis for s in group.values())
    window = frame(list(traces.values()))
    legend = [
        element("span", element("i", class_=f"key c{i % 10}"), f"{label} ",
                element("b", number(float(t.smooth[-1]))))
        for i, (label, t) in zip(colours(traces), traces.items(), strict=True)
    ]  # fmt: skip
    if window.start is not None:
        legend.append(element("span", f"starts at {number(window.start)}"))
    told = ", ".join(
        f"{label} from {number(t.first)} at {axis} {t.x[0]:.0f} to {number(float(t.smooth[-1]))} "
        f"at {axis} {t.x[-1]:.0f}"
        for label, t in traces.items()
    )
    return element(
        "figure",
        element("figcaption", element("h3", title), element("p", *legend, class_="legend")),
        _svg(f"{title}: {told}", _axes(window), _inside(window, traces)),
        class_="chart",
    )


def bars(title: str, values: Sequence[float], unit: str = "") -> Html:
    """A bar per value, in the order given, with the largest value and their number written out."""
    v = np.nan_to_num(np.asarray(values, float), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(0.0, float(v.min())), max(0.0, float(v.max()))
    span = (high - low) or 1.0
    step = (WIDTH - LEFT - RIGHT) / len(v)
    y_of = lambda value: TOP + (HEIGHT / 2 - TOP - BOTTOM) * (high - value) / span  # noqa: E731
    drawn = [
        _shape("rect", class_="bar", x=LEFT + i * step + 0.1 * step, width=0.8 * step,
               y=y_of(max(value, 0.0)), height=max(abs(y_of(value) - y_of(0.0)), 0.5))
        for i, value in enumerate(v)
    ]  # fmt: skip
    drawn.append(
        _shape("line", class_="rule", x1=LEFT, x2=WIDTH - RIGHT, y1=y_of(0.0), y2=y_of(0.0))
    )
    for value in {low, high}:
        drawn.append(_text(number(value), LEFT - 6, y_of(value) + 4, "end"))
    label = f"{title}: {len(v)} values from {number(float(v.min()))} to {number(float(v.max()))}"
    caption = f"{len(v)} values, the largest {number(float(v.max()))} {unit}".rstrip()
    return element(
        "figure",
        element("figcaption", element("h3", title), element("p", caption, class_="legend")),
        _svg(label, *drawn, height=HEIGHT / 2),
        class_="chart",
    )


def number(value: float) -> str:
    """Four digits with a real minus sign; whole numbers up to ten million in full."""
    text = f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return text.replace("-", "−")


def ticks(low: float, high: float, *, log: bool = False, most: int = 6) -> list[float]:
    """Round numbers in [low, high]: steps of 1, 2 or 5 times a power of ten, or powers of ten."""
    if log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        stride = max(1, math.ceil((last - first + 1) / most))
        return [10.0**k for k in range(first, last + 1, stride)]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _axes(window: Frame) -> Html:
    drawn = []
    for value in ticks(*window.y, log=window.log, most=5):
        y = _y(window, np.array([value]))[0]
        drawn += [_shape("line", class_="rule", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y),
                  _text(number(value), LEFT - 6, y + 4, "end")]  # fmt: skip
    for value in ticks(*window.x, most=5):
        if value == int(value):
            x = _x(window, np.array([value]))[0]
            end = x > WIDTH - RIGHT - 20
            anchor = "end" if end else "middle"
            drawn.append(_text(number(value), WIDTH if end else x, HEIGHT - 6, anchor))
    return join(*drawn)


def _inside(window: Frame, traces: Mapping[str, Trace]) -> Html:
    """The curves in a viewport of their own, which cuts off what leaves the frame but no dot."""
    left, width, height = LEFT - DOT, WIDTH - LEFT - RIGHT + 2 * DOT, HEIGHT - BOTTOM + DOT
    box = raw(f"{left:g} 0 {width:g} {height:g}")
    drawn = [_curve(window, t, i) for i, t in zip(colours(traces), traces.values(), strict=True)]
    return element("svg", *drawn, x=left, y=0, width=width, height=height, viewBox=box)


def _curve(window: Frame, t: Trace, i: int) -> Html:
    x = _x(window, t.x)
    low, high, smooth = (_y(window, v) for v in (t.low, t.high, t.smooth))
    outline = _points(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]))
    drawn = [
        element("polygon", points=outline, class_=f"band c{i % 10}"),
        element("polyline", points=_points(x, smooth), class_=f"line c{i % 10}"),
    ]
    if len(x) < 40:
        centres = zip(x, smooth, strict=True)
        drawn += [_shape("circle", class_=f"dot c{i % 10}", cx=a, cy=b, r=DOT) for a, b in centres]
    return join(*drawn)


def _x(window: Frame, values: np.ndarray) -> np.ndarray:
    first, last = window.x
    return LEFT + (WIDTH - LEFT - RIGHT) * (values - first) / (last - first)


def _y(window: Frame, values: np.ndarray) -> np.ndarray:
    """Pixels from the top; what lies far outside is brought nearer, still outside."""
    low, high = window.y
    if window.log:
        values = np.log10(np.maximum(values, 1e-300))
        low, high = math.log10(low), math.log10(high)
    part = np.clip((values - low) / (high - low), -0.5, 1.5)
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - part)


def _svg(label: str, *drawn: Html, height: float = HEIGHT) -> Html:
    box = raw(f"0 0 {WIDTH:g} {height:g}")
    return element("svg", *drawn, viewBox=box, role="img", aria_label=label)


def _shape(name: str, class_: str, **numbers: float) -> Html:
    return element(name, class_=class_, **{key: raw(f"{v:.1f}") for key, v in numbers.items()})


def _text(text: str, x: float, y: float, anchor: str) -> Html:
    return element("text", text, x=raw(f"{x:.1f}"), y=raw(f"{y:.1f}"), text_anchor=anchor)


def _points(x: np.ndarray, y: np.ndarray) -> Html:
    return raw(" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)))
