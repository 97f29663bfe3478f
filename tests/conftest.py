# SPDX-License-Identifier: Apache-2.0
"""Strictness lives here, not in the code: shapes, ranks, dtypes, keys and warnings are errors."""

from jaxtyping import install_import_hook

install_import_hook("jaxml", "beartype.beartype")  # must run before the first import of jaxml

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_debug_key_reuse", True)
hypothesis.settings.register_profile("exact", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("exact")


@pytest.fixture
def x64():
    """Double precision for one test."""
    with jax.enable_x64(True):
        yield
