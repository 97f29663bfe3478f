# SPDX-License-Identifier: Apache-2.0
"""The quickstart of the README runs as it stands, and fits in twenty lines."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_quickstart_runs():
    """The block under the heading is executed as a script."""
    (code,) = re.findall(
        r"^## Quickstart\n.*?^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
    )
    assert 0 < len([line for line in code.splitlines() if line.strip()]) <= 20
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102
