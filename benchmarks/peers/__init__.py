# SPDX-License-Identifier: Apache-2.0
"""The same work in PyTorch, in a process of its own: two runtimes in one fight for threads."""
