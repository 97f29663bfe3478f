# SPDX-License-Identifier: Apache-2.0
"""One question a file; every case also runs as a tiny test."""
