# SPDX-License-Identifier: Apache-2.0
"""TensorBoard events, where tensorboardX is installed; the record itself is `metrics.jsonl`."""

import importlib.util
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np


class Events:
    """What `events` yields; without tensorboardX it accepts everything and writes nothing."""

    def __init__(self, writer: Any = None):
        self._writer = writer

    def scalars(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One point per metric: the mean over a chunk of steps that ends at `step`, without NaN.

        TensorBoard keeps a thousand points of a curve whatever it is given. A metric that is NaN
        throughout (an idle part of a rule) has no point; each entry of a vector has its own curve.

        Args:
          step: the last step of the chunk.
          metrics: by name, `(n, ...)` over the n steps of the chunk, or a single number.
        """
        if self._writer is None:
            return
        for name, values in metrics.items():
            values = np.asarray(values).astype(np.float64)
            values = values.reshape(len(values) if values.ndim else 1, -1)
            for i, column in enumerate(values.T):
                column = column[~np.isnan(column)]
                if column.size:
                    tag = name if values.shape[1] == 1 else f"{name}/{i}"
                    self._writer.add_scalar(tag, float(column.mean()), step)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture `(H, W)`, `(H, W, 1)` or `(H, W, 3)`: uint8, or real numbers in [0, 1]."""
        if self._writer is None:
            return
        pixels = image.reshape(*image.shape[:2], -1)
        if pixels.dtype != np.uint8:
            pixels = np.round(255 * np.clip(pixels.astype(np.float64), 0, 1)).astype(np.uint8)
        self._writer.add_image(name, pixels, step, dataformats="HWC")


@contextmanager
def events(directory: str | PathLike[str], step: int = 0) -> Iterator[Events]:
    """Write events into `directory` while the block runs.

    Args:
      directory: made if it is not there.
      step: the step that the run continues from: what earlier files say of later steps is hidden,
        so that a resumed run has each step once.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        yield Events()
        return
    from tensorboardX import SummaryWriter

    # Without a suffix two writers of one second would share a file, and the second empty it.
    suffix = f".{secrets.token_hex(4)}"
    writer = SummaryWriter(os.fspath(directory), purge_step=step + 1, filename_suffix=suffix)
    try:
        yield Events(writer)
    finally:
        writer.close()
