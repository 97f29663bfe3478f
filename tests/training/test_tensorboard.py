# SPDX-License-Identifier: Apache-2.0
"""Laws of the events: what TensorBoard reads is what was written, each step once."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from jaxml.training import tensorboard
from jaxml.training.storage.directory import CheckpointError

pytest.importorskip("tensorboardX", reason="tensorboardX is an optional extra")
from PIL import Image
from tensorboardX.proto.event_pb2 import Event


def records(directory):
    """Every event of a directory in the order of the files' creation, by the TFRecord format."""
    for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            yield Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4


def shown(directory):
    """What TensorBoard shows: a session start purges the events at its step and after."""
    values = {}
    for event in records(directory):
        if event.HasField("session_log"):
            values = {key: value for key, value in values.items() if key[1] < event.step}
        for value in event.summary.value:
            assert (value.tag, event.step) not in values
            values[value.tag, event.step] = value
    return values


def scalars(directory):
    return {key: value.simple_value for key, value in shown(directory).items()}


def test_a_point_is_the_mean_of_its_chunk(tmp_path):
    """The point at step k is the mean over the chunk, NaN left out; an idle metric has none."""
    with tensorboard.events(tmp_path) as events:
        events.scalars(10, {"loss": np.float32([1, np.nan, 4]), "idle": np.full(3, np.nan)})
        events.scalars(20, {"loss": np.float32([5, 5, 5]), "elbo": -2.0})
        events.scalars(30, {"loss": np.array([[1.0, 10.0], [3.0, 30.0]])})
    assert scalars(tmp_path) == {
        ("loss", 10): 2.5,
        ("loss", 20): 5.0,
        ("elbo", 20): -2.0,
        ("loss/0", 30): 2.0,
        ("loss/1", 30): 20.0,
    }


def test_a_resumed_run_has_each_step_once(tmp_path):
    """Points after the step of the checkpoint are hidden when the run continues from there."""
    with tensorboard.events(tmp_path) as events:
        for step in (1, 2, 3):
            events.scalars(step, {"loss": step})
    with tensorboard.events(tmp_path, 2) as events:
        for step in (3, 4):
            events.scalars(step, {"loss": 10 * step})
    assert scalars(tmp_path) == {
        ("loss", 1): 1.0,
        ("loss", 2): 2.0,
        ("loss", 3): 30.0,
        ("loss", 4): 40.0,
    }


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_pictures_keep_their_pixels(tmp_path, shape):
    """Bytes arrive as they are and real numbers are rounded to the nearest of 255 levels."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with tensorboard.events(tmp_path) as events:
        events.image(1, "bytes", pixels)
        events.image(1, "below", (pixels.astype(np.float32) - 0.4) / 255)
        events.image(1, "above", (pixels.astype(np.float64) + 0.4) / 255)
    for name in ("bytes", "below", "above"):
        png = shown(tmp_path)[name, 1].image.encoded_image_string
        with Image.open(io.BytesIO(png)) as image:
            decoded = np.asarray(image)
        want = pixels.reshape(4, 5, -1)
        np.testing.assert_array_equal(decoded.reshape(4, 5, -1)[..., : want.shape[-1]], want)


def test_each_step_is_on_the_disk_when_it_is_told_under_sound_checksums(tmp_path):
    """Whoever kills the run loses nothing; each checksum is a masked CRC-32C."""
    with tensorboard.events(tmp_path) as events:
        for step in (1, 2):
            events.scalars(step, {"loss": float(step)})
            assert len(scalars(tmp_path)) == step
    (path,) = tmp_path.iterdir()
    data, at = path.read_bytes(), 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert check == masked(data[at : at + 8])
        assert struct.unpack_from("<I", data, at + 12 + length) == (
            masked(data[at + 12 : at + 12 + length]),
        )
        at += 16 + length


def masked(data):
    """CRC-32C bit by bit, rotated right by 15 and moved by a constant."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = (rest >> 1) ^ (0x82F63B78 if rest & 1 else 0)
    rest ^= 0xFFFFFFFF
    return (((rest >> 15) | (rest << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_full_disk_is_one_error_and_no_thread_waits(tmp_path):
    """The file is named, at the write that failed; leaving the block adds nothing."""
    full = "No space left on device"
    with Path("/dev/full").open("wb", buffering=0) as file:
        for step in range(1, 30):
            with pytest.raises(CheckpointError, match=f"/dev/full: cannot be written: {full}"):
                tensorboard.Events(file).scalars(step, {"loss": 1.0})
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CheckpointError, match="file: cannot be written"),
        tensorboard.events(tmp_path / "file"),
    ):
        pass


def test_without_the_extra_nothing_is_written(tmp_path, monkeypatch):
    """The writer is silent and the directory stays as it was."""
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    with tensorboard.events(tmp_path / "events") as events:
        events.scalars(1, {"loss": 1.0})
        events.image(1, "x", np.zeros((2, 2)))
    assert list(tmp_path.iterdir()) == []
