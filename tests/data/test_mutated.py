# SPDX-License-Identifier: Apache-2.0
"""Files with bytes changed at random: a value, or one line of DataError, and nothing else."""

import gzip
import io
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxml.data.disk import on_disk
from jaxml.data.error import DataError
from jaxml.data.idx import read_idx
from jaxml.data.npy import read_npy
from jaxml.data.npz import read_npz
from jaxml.data.table import read_table
from jaxml.data.text import read_text

READERS = {
    "idx": read_idx,
    "any npz": read_npz,
    "npy": read_npy,
    "csv": read_table,
    "text": read_text,
}


def idx(values):
    """An idx file of bytes."""
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return struct.pack(">HBB", 0, 0x08, values.ndim) + shape + values.tobytes()


def npy(descr, payload):
    """A .npy file of one axis, with the short header of the first version."""
    shape = f"({len(payload) // np.dtype(descr).itemsize},)"
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + payload


def npz(save=np.savez, **arrays):
    raw = io.BytesIO()
    save(raw, **arrays)
    return raw.getvalue()


IMAGES = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
SEEDS = {
    "idx": [idx(IMAGES), gzip.compress(idx(IMAGES))],
    "any npz": [
        npz(x=IMAGES[:, :2, :2]),
        npz(np.savez_compressed, x=np.arange(5.0), y=np.array(["a"])),
    ],
    "npy": [npy("|u1", b"abc"), npy("<f8", bytes(8)), npy("<U1", b"a\0\0\0")],
    "csv": [b"a,b\n1,2\n3,4\n", b'"x y",z\n1,?\n'],
    "text": ["Grüße".encode()],
}


@st.composite
def mutations(draw, seeds):
    """A valid file with up to five bytes changed, cut, inserted or repeated; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    raw = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(0, len(raw) - 1)))
        end = draw(st.integers(place, min(len(raw), place + 8)))
        raw[place:end] = draw(st.binary(max_size=8))
    return bytes(raw)


def fuzz(reader, raw, path):
    """Only a DataError, or a value."""
    path.write_bytes(raw)
    read = READERS[reader]
    reads = [read, on_disk] if reader == "npy" else [read]
    if reader == "any npz":
        reads.append(lambda path: on_disk(path, "x"))
    for each in reads:
        message = ""
        try:
            each(path)
        except DataError as error:
            message = str(error)
        assert "\n" not in message


@pytest.mark.parametrize("reader", SEEDS)
def test_mutated_files_raise_nothing_else(reader, tmp_path):
    """100 mutations a parser."""
    options = settings(max_examples=100, suppress_health_check=list(HealthCheck))
    check = given(mutations(SEEDS[reader]))(lambda raw: fuzz(reader, raw, tmp_path / "v"))
    options(check)()


@pytest.mark.slow
@pytest.mark.parametrize("reader", SEEDS)
def test_ten_thousand_mutated_files_raise_nothing_else(reader, tmp_path):
    """10 000 mutations a parser."""
    options = settings(max_examples=10_000, suppress_health_check=list(HealthCheck))
    check = given(mutations(SEEDS[reader]))(lambda raw: fuzz(reader, raw, tmp_path / "v"))
    options(check)()
