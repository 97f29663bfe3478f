# SPDX-License-Identifier: Apache-2.0
"""Laws of the style sheet: readable by day and by night."""

import re

import pytest

from jaxml.training.report.style import CSS


def palette(css):
    return dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", css))


DAY = palette(CSS.partition("@media")[0])
NIGHT = palette(CSS.partition("@media")[2])


def contrast(one, other):
    """The contrast ratio of WCAG 2.1, from 1 to 21."""

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [DAY, NIGHT], ids=["day", "night"])
def test_text_stands_out(colours):
    """Every colour of text reaches the ratio of 4.5 on every ground, and every curve 2.2."""
    for ground in ("paper", "card", "code"):
        for text in ("ink", "soft", "good"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for i in range(10):
        assert contrast(colours[f"c{i}"], colours["paper"]) >= 2.2, i


def test_night_has_every_colour_of_day():
    """No colour of the day is left to shine at night."""
    assert set(DAY) == set(NIGHT)
    assert contrast(DAY["paper"], NIGHT["paper"]) > 10


def test_every_variable_and_bracket_is_there():
    """Each variable used is defined, each defined one used, and the sheet is balanced."""
    used = set(re.findall(r"var\(--([a-z0-9]+)\)", CSS)) - {"c"}
    assert used == set(DAY)
    assert CSS.count("{") == CSS.count("}")
    assert "url(" not in CSS
