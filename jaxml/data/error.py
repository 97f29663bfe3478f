# SPDX-License-Identifier: Apache-2.0
"""The one error of data that cannot be read as what it claims to be."""

from os import PathLike


class DataError(ValueError):
    """A data file is missing, damaged or not what was asked for (exit code 3 at the command line).

    Its message is one line, `path: reason`, whatever the path and the reason contain.

    Attributes:
      path: The file or directory at fault.
      reason: What was expected and what was found.
    """

    def __init__(self, path: str | PathLike[str], reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(_one_line(f"{self.path}: {reason}"))

    def __reduce__(self):
        # The default rebuilds from the joined message: a loading process could not report it.
        return type(self), (self.path, self.reason)


def _one_line(text: str) -> str:
    """The text with control characters and line breaks escaped: no file name forges a line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


__all__ = ["DataError"]
