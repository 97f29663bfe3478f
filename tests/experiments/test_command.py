# SPDX-License-Identifier: Apache-2.0
"""Laws of the way from an error to one line and an exit code."""

import errno
import signal

import jax
import numpy as np
import pytest

from experiments import command
from experiments.options import ConfigError
from jaxml.data.error import DataError
from jaxml.training import NonFiniteError
from jaxml.training.signal import Interrupted
from jaxml.training.storage import checkpoint
from jaxml.training.storage.directory import CheckpointError


def ended(monkeypatch, capsys, main):
    """Exit code and stderr of a command that does `main`."""
    monkeypatch.setattr(command, "find", lambda name: main)
    return command.run("train", []), capsys.readouterr().err


ERRORS = {
    2: ConfigError("steps: expected a count"),
    3: DataError("x.npz", "is truncated"),
    4: CheckpointError("run", "is held by another process"),
    5: NonFiniteError("step 3: loss = nan", 3, None, None),
    143: Interrupted(signal.SIGTERM),
    1: ValueError("two\nlines"),
}


@pytest.mark.parametrize("code", ERRORS)
def test_what_was_noted_on_an_error_is_told_in_its_line(monkeypatch, capsys, code):
    """The message first, then each note after a semicolon; JAX's own remark is left out."""
    error = ERRORS[code]
    alone = ended(monkeypatch, capsys, raising(error))
    error.add_note("run/7: step 7 was not saved:\nNo space left on device")
    error.add_note("--------------------\nFor simplicity, JAX has removed its internal frames")
    error.add_note("and more")
    noted = ended(monkeypatch, capsys, raising(error))
    assert alone[0] == noted[0] == code
    tail = "; run/7: step 7 was not saved:\\nNo space left on device; and more\n"
    assert noted[1] == alone[1].removesuffix("\n") + tail
    assert alone[1].startswith("error: ")
    assert len(noted[1].splitlines()) == 1


def test_a_failed_save_under_another_error_is_not_lost(monkeypatch, capsys, tmp_path):
    """A checkpoint that could not be written is told beside the NaN that ended the run."""

    def full(path, arrays):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.orbax_store, "write", full)

    def main(argv):
        with checkpoint.writer(tmp_path / "checkpoints") as writer:
            writer.save(7, {"w": np.ones(3)}, {})
            raise NonFiniteError("step 8: loss = nan", 8, None, None)

    code, line = ended(monkeypatch, capsys, main)
    place = tmp_path / "checkpoints" / "000000007"
    told = f"{place}: step 7 was not saved: No space left on device"
    assert (code, line) == (5, f"error: step 8: loss = nan; {told}\n")


def test_jax_s_own_note_begins_as_we_expect(monkeypatch, capsys):
    """An error out of a traced function is told without advice about tracebacks."""

    def main(argv):
        jax.jit(lambda x: x.reshape(7))(np.ones(3))

    code, line = ended(monkeypatch, capsys, main)
    assert code == 1
    assert line.endswith("(JAXML_TRACEBACK=1 shows where)\n")


def raising(error):
    def main(argv):
        raise error

    return main
