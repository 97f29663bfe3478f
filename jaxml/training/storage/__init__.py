# SPDX-License-Identifier: Apache-2.0
"""What a run keeps on the disk: `checkpoint`, `lock` and, in `atomic`, files whole or not there.

Only the errors are named here: `checkpoint` imports Orbax, which takes seconds, and who writes a
picture needs none.
"""

from jaxml.training.storage.directory import CheckpointError
from jaxml.training.storage.lock import RunLockedError
from jaxml.training.storage.manifest import DamagedError

__all__ = ["CheckpointError", "DamagedError", "RunLockedError"]
