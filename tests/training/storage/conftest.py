# SPDX-License-Identifier: Apache-2.0
"""What the tests of checkpoints share: a directory, a small tree, and checkpoints of it."""

import os

import jax.numpy as jnp
import pytest

from jaxml.training.storage import checkpoint


def _small(step=0):
    return {"w": jnp.full((3, 2), float(step)), "n": jnp.int32(step)}


@pytest.fixture
def directory(tmp_path):
    """Where the checkpoints are; not made yet."""
    return tmp_path / "checkpoints"


@pytest.fixture
def small():
    """`small(step)`: a tree that tells of which step it is."""
    return _small


@pytest.fixture
def fill():
    """`fill(directory, *steps)`: commit a small tree for each step."""

    def commit(directory, *steps, keep=10, **options):
        with checkpoint.writer(directory, keep=keep) as writer:
            for step in steps:
                writer.save(step, _small(step), {"step": step}, **options)

    return commit


@pytest.fixture
def names():
    """`names(directory)`: what is in it, sorted."""
    return lambda directory: sorted(os.listdir(directory))
