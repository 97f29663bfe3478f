# SPDX-License-Identifier: Apache-2.0
"""Reports as HTML files that need nothing but themselves."""

from jaxml.training.report.run import write

__all__ = ["write"]
