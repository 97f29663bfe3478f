# SPDX-License-Identifier: Apache-2.0
"""A result is one JSON line that says everything needed to judge it."""

import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import flax
import jax
import jaxlib


def line(numbers: Mapping[str, Any]) -> str:
    """The numbers and what decides their meaning, as one line of JSON."""
    return json.dumps({**numbers, **environment()}, sort_keys=True)


@cache
def environment() -> dict[str, str]:
    """Device, versions and the revision of the code."""
    here = Path(__file__).parent
    found = subprocess.run(  # noqa: S603
        ["git", "-C", str(here), "rev-parse", "--short", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
        "revision": found.stdout.strip() or "unknown",
    }
