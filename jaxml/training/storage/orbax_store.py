# SPDX-License-Identifier: Apache-2.0
"""Named arrays on the disk: the one file that knows Orbax."""

import errno
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from orbax.checkpoint import v1 as ocp

from jaxml.training.storage.leaves import Spec


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Save the arrays in a new directory `path`, in Orbax's format under their names.

    Raises:
      OSError: if there is no room for them.
      Exception: whatever Orbax raises.
    """
    _reserve(path.parent, arrays)
    stored = {name: array for name, array in arrays.items() if _stored(array.shape)}
    if stored:
        with _orbax():
            ocp.save(str(path), stored)


def read(path: Path, specs: Mapping[str, Spec]) -> dict[str, np.ndarray]:
    """The arrays saved in `path`, whose names, dtypes and shapes the caller has compared.

    Raises:
      Exception: whatever Orbax raises.
    """
    abstract = {
        name: np.broadcast_to(np.zeros((), spec.dtype), spec.shape)  # takes no memory
        for name, spec in specs.items()
    }
    stored = {name: array for name, array in abstract.items() if _stored(array.shape)}
    if not stored:
        return abstract
    with _orbax():
        return {**abstract, **ocp.load(str(path), stored)}


def _stored(shape: tuple[int, ...]) -> bool:
    return 0 not in shape  # Orbax refuses arrays without elements; their shape says everything


def _reserve(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Fail now if the disk or a quota has no room for the arrays.

    When a write fails within Orbax it prints tracebacks from its threads, which no caller can
    catch; asking first turns a full disk into one clean OSError.
    """
    # 210 to 430 bytes a leaf were measured for its entries in the metadata files.
    n_bytes = sum(array.nbytes + 4 * len(name) + 512 for name, array in arrays.items()) + 2**16
    probe = path / "reserve"
    descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, n_bytes)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system without it
            raise
    finally:
        os.close(descriptor)
        probe.unlink()


@contextmanager
def _orbax() -> Iterator[None]:
    """Orbax as we use it: without compression, which gains nothing on parameters, and silent."""
    context = ocp.Context()
    context.array.saving.use_compression = False
    log = logging.getLogger("absl")
    log.addFilter(_not_orbax)
    try:
        with context:
            yield
    finally:
        log.removeFilter(_not_orbax)


def _not_orbax(record: logging.LogRecord) -> bool:
    return f"{os.sep}orbax{os.sep}" not in record.pathname  # its errors reach us as exceptions


__all__ = ["read", "write"]
