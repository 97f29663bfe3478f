# SPDX-License-Identifier: Apache-2.0
"""TensorBoard events, where tensorboardX is installed; the record itself is `metrics.jsonl`."""

import importlib
import importlib.util
import secrets
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxml.training.storage.directory import CheckpointError, reason


class Events:
    """What `events` yields; without tensorboardX it accepts everything and writes nothing."""

    def __init__(self, file: IO[bytes] | None = None):
        self._file = file

    def scalars(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One point per metric: the mean over a chunk of steps that ends at `step`, without NaN.

        TensorBoard keeps a thousand points of a curve whatever it is given. A metric that is NaN
        throughout (an idle part of a rule) has no point; each entry of a vector has its own curve.

        Args:
          step: the last step of the chunk.
          metrics: by name, `(n, ...)` over the n steps of the chunk, or a single number.

        Raises:
          CheckpointError: if it cannot be written.
        """
        if self._file is None:
            return
        from tensorboardX.summary import scalar

        points = []
        for name, values in metrics.items():
            values = np.asarray(values).astype(np.float64)
            values = values.reshape(len(values) if values.ndim else 1, -1)
            for i, column in enumerate(values.T):
                column = column[~np.isnan(column)]
                if column.size:
                    tag = name if values.shape[1] == 1 else f"{name}/{i}"
                    points += scalar(tag, column.mean()).value
        self._write(step, points)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture `(H, W)`, `(H, W, 1)` or `(H, W, 3)`: uint8, or real numbers in [0, 1].

        Raises:
          CheckpointError: if it cannot be written.
        """
        if self._file is None:
            return
        from tensorboardX import summary

        pixels = image.reshape(*image.shape[:2], -1)
        if pixels.dtype != np.uint8:
            pixels = np.round(255 * np.clip(pixels.astype(np.float64), 0, 1)).astype(np.uint8)
        self._write(step, summary.image(name, pixels, dataformats="HWC").value)

    def _write(self, step: int, values: Any) -> None:
        assert self._file is not None
        _append(self._file, step=step, summary={"value": values})


@contextmanager
def events(directory: str | PathLike[str], step: int = 0) -> Iterator[Events]:
    """Write events into `directory` while the block runs.

    tensorboardX encodes them and we write them: its writer hands them to a thread, which a full
    disk ends with a traceback, and then the queue fills up and the run waits for ever.

    Args:
      directory: made if it is not there.
      step: the step that the run continues from: what earlier files say of later steps is hidden,
        so that a resumed run has each step once.

    Raises:
      CheckpointError: if the directory cannot be used.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        yield Events()
        return
    place = Path(directory)
    # TensorBoard reads the files in the order of their names: the time first, in whole seconds;
    # the suffix tells apart two runs of one second.
    name = f"events.out.tfevents.{int(time.time())}.{secrets.token_hex(4)}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        file = (place / name).open("xb")
    except OSError as error:
        raise CheckpointError(place, f"cannot be written: {reason(error)}") from error
    try:
        _append(file, file_version="brain.Event:2")
        _append(file, step=step + 1, session_log={"status": "START"})
        yield Events(file)
    finally:
        with suppress(OSError):  # what could not be written was told when it was tried
            file.close()


def _append(file: IO[bytes], **content: Any) -> None:
    """Write one event as a TFRecord: length, its checksum, the bytes, their checksum."""
    from tensorboardX.record_writer import masked_crc32c

    event = importlib.import_module("tensorboardX.proto.event_pb2").Event  # made when imported
    data = event(wall_time=time.time(), **content).SerializeToString()
    length = struct.pack("<Q", len(data))
    checked = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
    try:
        file.write(b"".join([length, next(checked), data, next(checked)]))
        file.flush()
    except OSError as error:
        raise CheckpointError(file.name, f"cannot be written: {reason(error)}") from error
