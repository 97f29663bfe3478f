# SPDX-License-Identifier: Apache-2.0
"""The ways in which a peer may do the same work, and the work that has each of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

EAGER, CHANNELS_LAST, COMPILED = "eager", "channels last", "compiled"
OF_VECTORS = (EAGER, COMPILED)
OF_IMAGES = (EAGER, CHANNELS_LAST, COMPILED)


class Work(NamedTuple):
    """A builder `(variant, **sizes) -> work`, where a call of `work` is one unit.

    Attributes:
      build: of the work.
      variants: what it may be built as; none where the library is not installed.
      library: whose work it is.
    """

    build: Callable[..., Callable[[], Any]]
    variants: tuple[str, ...]
    library: str = "torch"
