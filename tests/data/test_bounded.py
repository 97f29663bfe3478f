# SPDX-License-Identifier: Apache-2.0
"""Sixty broken files: each refused in one line, in seconds, in little memory, and left alone."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxml.data.error import DataError
from jaxml.data.idx import read_idx
from jaxml.data.npy import read_npy
from jaxml.data.npz import read_npz
from jaxml.data.table import read_table
from jaxml.data.text import read_text

IMAGES = np.arange(10 * 28 * 28, dtype=np.uint8).reshape(10, 28, 28)
LAYOUT = {"x": ("uint8", (None, 28, 28)), "y": ("uint8", (None,))}
READERS = {
    "idx": read_idx,
    "npz": lambda path: read_npz(path, LAYOUT),
    "any npz": read_npz,
    "npy": read_npy,
    "csv": read_table,
    "text": read_text,
}


def idx(values, code=0x08, shape=None):
    """An idx file of big-endian values."""
    shape = values.shape if shape is None else shape
    head = struct.pack(">HBB", 0, code, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
    return head + values.tobytes()


def npy(descr="'|u1'", shape="(3,)", payload=b"abc", order="False", version=b"\x01\x00"):
    """A .npy file with any header."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + payload


def archive(members, compression=zipfile.ZIP_STORED):
    """A zip archive of raw members."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return raw.getvalue()


def npz(compress=False, **arrays):
    raw = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(raw, **arrays)
    return raw.getvalue()


def flipped(raw, place):
    return raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :]


def broken():
    """Names, readers and bytes of the broken files, and a phrase of the reason."""
    good = idx(IMAGES)
    yield "idx_magic", "idx", b"\1" + good[1:], "is not an idx file"
    yield "idx_dtype", "idx", good[:2] + b"\x07" + good[3:], "is not an idx file"
    yield "idx_rank_0", "idx", good[:3] + b"\0" + good[4:], "has rank 0"
    yield "idx_rank_255", "idx", good[:3] + b"\xff" + good[4:], "has rank 255"
    yield "idx_huge", "idx", idx(IMAGES, shape=(2**31, 2**31, 2**31)), "is truncated"
    yield "idx_huge_zero", "idx", idx(IMAGES, shape=(2**31, 0, 2**31)), "trailing bytes"
    for place in (0, 1, 2, 3, 4, 7, 8, 11, 12, 15, 16, 17, 100, 799, 800, 4000, 7000, 7854, 7855):
        yield f"idx_cut_{place}", "idx", good[:place], r"is not an idx|truncated"
    yield "idx_trailing", "idx", good + b"\0", "has trailing bytes"
    yield "idx_nan", "idx", idx(np.array([1, np.nan], ">f4"), 0x0D), "holds nan in row 1"

    zipped = gzip.compress(good)
    yield "gz_crc", "idx", flipped(zipped, len(zipped) - 6), "CRC"
    yield "gz_cut", "idx", zipped[: len(zipped) // 2], "is damaged"
    yield "gz_trailing", "idx", gzip.compress(good + b"\0"), "has trailing bytes"
    yield "gz_garbage", "idx", zipped + b"garbage", "gz_garbage"
    bomb = gzip.compress(bytes(200 * 2**20), 1)
    yield "gz_bomb", "idx", bomb, "is not an idx file"
    head = idx(np.zeros(0, np.uint8), shape=(200 * 2**20,))
    bomb = gzip.compress(head + bytes(200 * 2**20), 9)
    yield "gz_bomb_promised", "idx", bomb, "more than 300-fold"
    bomb = gzip.compress(idx(np.zeros(0, np.uint8), shape=(100,)) + bytes(200 * 2**20), 9)
    yield "gz_bomb_hidden", "idx", bomb, "has trailing bytes"

    fine = npz(x=IMAGES, y=np.zeros(10, np.uint8))
    deflated = npz(True, x=IMAGES, y=np.zeros(10, np.uint8))
    yield "npz_cut", "npz", fine[: len(fine) // 2], "npz_cut"
    yield "npz_cut_end", "npz", fine[:-5], "npz_cut_end"
    yield "npz_empty", "npz", b"", "npz_empty"
    yield "npz_crc", "npz", flipped(fine, 5000), "CRC"
    yield "npz_deflate", "npz", flipped(deflated, 200), "npz_deflate"
    yield "npz_missing", "npz", npz(x=IMAGES), "has no array 'y'"
    yield "npz_twice", "npz", archive({"x": npy(), "x.npy": npy()}), "two members of one name"
    objects = np.array([{}, []], object)
    yield "npz_object", "any npz", npz(x=objects), "plain array of numbers"
    yield "npz_dtype", "npz", npz(x=IMAGES.astype("f4"), y=np.zeros(10, np.uint8)), "x is float32"
    yield "npz_shape", "npz", npz(x=IMAGES[:, :27], y=np.zeros(10, np.uint8)), "expected uint8"
    yield "npz_nan", "any npz", npz(x=np.array([[0.0, 1.0], [2.0, np.nan]])), "nan in row 1"
    yield "npz_inf", "any npz", npz(x=np.array([-np.inf, 1.0])), "-inf in row 0"
    yield "npz_record", "any npz", npz(x=np.zeros(2, "i4,f4")), "plain array of numbers"
    yield "npz_negative", "any npz", archive({"x.npy": npy(shape="(-3,)")}), "impossible shape"
    yield "npz_huge", "any npz", archive({"x.npy": npy(shape="(2147483648, 4096)")}), "truncated"
    yield "npz_not_npy", "any npz", archive({"readme.txt": b"hello"}), "is not a .npy array"
    zeros = npy(shape=f"({200 * 2**20},)", payload=bytes(200 * 2**20))
    yield "npz_bomb", "any npz", archive({"x.npy": zeros}, zipfile.ZIP_DEFLATED), "300-fold"
    lie = bytearray(archive({"x.npy": npy()}))
    place = lie.rfind(b"PK\1\2")
    lie[place + 24 : place + 28] = struct.pack("<I", 2**31)
    yield "npz_lying_size", "any npz", bytes(lie), "300-fold"

    yield "npy_version", "npy", npy(version=b"\x09\x00"), "wrong magic string or version"
    yield "npy_header", "npy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "more than 10000"
    yield "npy_code", "npy", npy(descr="__import__('os').system('true')"), "plain array"
    yield "npy_cut", "npy", npy(payload=b"ab"), "needs 3 bytes, has 2"
    yield "npy_trailing", "npy", npy(payload=b"abcd"), "has trailing bytes"
    yield "npy_bool", "npy", npy(descr="'|b1'"), "neither 0 nor 1"
    yield "npy_unicode", "npy", npy("'<U1'", "(1,)", b"\xff\xff\xff\x7f"), "not Unicode"
    yield "npy_overflow", "npy", npy(shape=f"({10**17}, {10**17}, 0, 7)"), "trailing bytes"

    yield "csv_ragged", "csv", b"a,b\n1,2\n3\n", "line 3 has 1 cells"
    yield "csv_binary", "csv", bytes(range(256)), "csv_binary"
    yield "csv_one_line", "csv", b"," * 2**26, "has a line of"
    yield "text_latin1", "text", "Grüße".encode("latin1"), "is not UTF-8"


CASES = list(broken())

SCRIPT = """
import json, resource, sys, time
from tests_bounded import READERS
for name, reader in json.loads(sys.argv[1]):
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        READERS[reader](name)
        outcome = "accepted"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([outcome, seconds, (after - before) / 1024]))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Every file read in one fresh process, whose peak memory nothing else has raised."""
    folder = tmp_path_factory.mktemp("broken")
    for name, _, raw, _ in CASES:
        (folder / name).write_bytes(raw)
    before = snapshot(folder)
    code = tmp_path_factory.mktemp("code")
    (code / "tests_bounded.py").write_text(Path(__file__).read_text())
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([case[:2] for case in CASES])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{code}:{root}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert snapshot(folder) == before
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip([case[0] for case in CASES], lines, strict=True))


def snapshot(folder):
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_there_are_at_least_sixty():
    assert len({case[0] for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize(("name", "reason"), [(case[0], case[3]) for case in CASES])
def test_a_broken_file_is_refused_in_one_line(outcomes, name, reason):
    """DataError with path and reason, <= 5 s, RSS + <= 200 MB."""
    outcome, seconds, megabytes = outcomes[name]
    assert outcome.startswith(f"DataError: {name}: ")
    assert "\n" not in outcome
    assert len(outcome) < 400
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(outcome)
    assert seconds <= 5
    assert megabytes <= 200


@pytest.mark.parametrize("reader", ["idx", "npz", "npy", "csv", "text"])
def test_what_is_no_file_is_refused(tmp_path, reader):
    """Missing, a directory, a pipe (which would wait for ever), unreadable."""
    os.mkfifo(tmp_path / "pipe")
    for name, reason in [
        ("absent", "does not exist"),
        (".", "is not a regular file"),
        ("pipe", "is not a regular file"),
    ]:
        with pytest.raises(DataError, match=reason):
            READERS[reader](tmp_path / name)


def test_whole_files_are_accepted(tmp_path):
    """The readers that refuse the above read their undamaged neighbours."""
    good = {
        "idx": idx(IMAGES),
        "gz": gzip.compress(idx(IMAGES)),
        "npz": npz(x=IMAGES, y=np.zeros(10, np.uint8)),
        "deflated": npz(True, x=IMAGES, y=np.zeros(10, np.uint8)),
    }
    for name, raw in good.items():
        (tmp_path / name).write_bytes(raw)
    np.testing.assert_array_equal(read_idx(tmp_path / "idx"), IMAGES)
    np.testing.assert_array_equal(read_idx(tmp_path / "gz"), IMAGES)
    for name in ("npz", "deflated"):
        np.testing.assert_array_equal(read_npz(tmp_path / name, LAYOUT)["x"], IMAGES)


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", ">i4", ">f4", ">f8"])
def test_every_idx_dtype_is_read(tmp_path, dtype):
    codes = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}
    value = np.arange(-6, 6).astype(dtype).reshape(3, 4)
    (tmp_path / "v").write_bytes(idx(value, codes[dtype]))
    found = read_idx(tmp_path / "v")
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=">i8"),
        np.array(["alpha", "β"]),
        np.array([b"ab", b"c"]),
        np.array([True, False]),
        np.float16([1.5]),
        np.array(2.5),
        np.array([1 + 2j]),
        np.zeros((0, 3)),
    ],
)
def test_npy_agrees_with_numpy(tmp_path, value):
    np.save(tmp_path / "v.npy", value)
    found = read_npy(tmp_path / "v.npy")
    np.testing.assert_array_equal(found, value)
    assert found.dtype == value.dtype.newbyteorder("=")


def test_missing_values_pass_when_asked_for_and_infinities_never(tmp_path):
    np.save(tmp_path / "v.npy", np.array([1.0, np.nan]))
    assert np.isnan(read_npy(tmp_path / "v.npy", missing=True)[1])
    np.save(tmp_path / "v.npy", np.array([1.0, np.inf]))
    with pytest.raises(DataError, match="inf in row 1"):
        read_npy(tmp_path / "v.npy", missing=True)


def test_limits_are_configurable(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros(1000))
    with pytest.raises(DataError, match="more than the limit of 100"):
        read_npy(tmp_path / "v.npy", max_bytes=100)
    np.savez_compressed(tmp_path / "v.npz", v=np.zeros(1000))
    with pytest.raises(DataError, match="expands to 8128 bytes, more than the limit of 5000"):
        read_npz(tmp_path / "v.npz", max_bytes=5000)


def test_errors_survive_control_characters_and_the_way_between_processes():
    error = DataError("a\nb\x1b[31m", "line\r\nbreak")
    assert str(error) == r"a\nb\x1b[31m: line\r\nbreak"
    kind, arguments = error.__reduce__()
    again = kind(*arguments)
    assert str(again) == str(error)
    assert again.path == error.path
    assert isinstance(error, ValueError)
