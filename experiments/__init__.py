# SPDX-License-Identifier: Apache-2.0
"""One module per result, and the command line that runs them."""
