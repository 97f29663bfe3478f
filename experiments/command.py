# SPDX-License-Identifier: Apache-2.0
"""From the words of a command line to an exit code."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from experiments.config import suggestion
from experiments.options import ConfigError, printable
from jaxml.data.error import DataError
from jaxml.training import NonFiniteError
from jaxml.training.signal import Interrupted
from jaxml.training.storage.directory import CheckpointError, one_line

COMMANDS = {
    "list": "experiments.listing",
    "train": "experiments.train",
    "sample": "experiments.sample",
    "evaluate": "experiments.evaluate",
    "compare": "experiments.compare",
    "verify": "experiments.verify",
    "replay": "experiments.replay",
}
EXIT_CODES = ((ConfigError, 2), (DataError, 3), (CheckpointError, 4), (NonFiniteError, 5))


def run(name: str, argv: Sequence[str]) -> int:
    """Run a command by name; errors become one line on stderr that starts with `error:`."""
    try:
        find(name)(argv)
        sys.stdout.flush()
    except tuple(kind for kind, _ in EXIT_CODES) as error:
        complain(str(error), error)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except Interrupted as error:
        complain(str(error), error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output left: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error), error)
        return 4
    except MemoryError as error:
        complain("out of memory", error)
        return 1
    except Exception as error:
        if os.environ.get("JAXML_TRACEBACK"):
            raise
        complain(f"{type(error).__name__}: {error} (JAXML_TRACEBACK=1 shows where)", error)
        return 1
    return 0


def find(name: str) -> Callable[[Sequence[str]], None]:
    """The `main` of a command.

    Raises:
      ConfigError: there is no such command.
    """
    if name not in COMMANDS:
        raise ConfigError(f"{printable(name)}: unknown command{suggestion(name, COMMANDS)}")
    return importlib.import_module(COMMANDS[name]).main


def complain(message: str, error: BaseException) -> None:
    """One line on stderr, whatever the message holds, and after it what was noted on the error.

    A note tells what failed on the way out, such as the last checkpoint. JAX too leaves one, below
    a rule of dashes: that it shortened the traceback, which nobody sees.
    """
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith("-----")]
    print(f"error: {'; '.join(one_line(text) for text in (message, *notes))}", file=sys.stderr)
