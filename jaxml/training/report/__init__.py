# SPDX-License-Identifier: Apache-2.0
"""Reports as HTML files that need nothing but themselves: of one run, and of several."""

from jaxml.training.report.column import Run
from jaxml.training.report.comparison import comparison, table
from jaxml.training.report.run import write

__all__ = ["Run", "comparison", "table", "write"]
