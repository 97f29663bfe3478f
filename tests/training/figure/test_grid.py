# SPDX-License-Identifier: Apache-2.0
"""Laws of sheets: every pixel where it belongs, in a file that others can read."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxml.training.figure import png, sheet, tile
from jaxml.training.storage.directory import CheckpointError

RNG = np.random.default_rng(1)
GAP = 2


def decoded(data):
    """The pixels of a PNG by an independent reader, which also checks every CRC."""
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 30), (1, 1, 3), (5, 2, 3), (64, 65, 3)])
def test_png_round_trip(shape):
    """Pillow reads back the very bytes, grey and colour."""
    pixels = RNG.integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize(("n", "columns", "scale"), [(6, 3, 1), (7, 3, 2), (1, 5, 3), (4, 1, 1)])
def test_every_image_is_at_its_place(tmp_path, n, columns, scale, channels):
    """Tile i is in row i // columns and column i % columns, each pixel a square of its value."""
    images = RNG.uniform(size=(n, 4, 5, *channels))
    sheet(images, tmp_path / "sheet.png", columns=columns, scale=scale)
    page = decoded((tmp_path / "sheet.png").read_bytes())
    want = np.rint(images * 255).astype(int)
    want = want[..., 0] if channels == (1,) else want
    columns = min(columns, n)
    height, width = 4 * scale + GAP, 5 * scale + GAP
    rows = -(-n // columns)
    assert page.shape == (rows * height + GAP, columns * width + GAP, *want.shape[3:])
    for i in range(n):
        for row in range(4):
            for column in range(5):
                top = GAP + (i // columns) * height + row * scale
                left = GAP + (i % columns) * width + column * scale
                square = page[top : top + scale, left : left + scale]
                assert (square == want[i, row, column]).all()
    assert len(np.unique(page[:GAP])) == 1
    assert (page[:, :GAP] == page[0, 0]).all()


@pytest.mark.parametrize(("side", "scale"), [(8, 6), (28, 2), (32, 2), (48, 1), (64, 1), (1, 48)])
def test_small_images_are_enlarged_until_legible(side, scale):
    """The side of a tile is the smallest multiple of the image that reaches 48 pixels."""
    assert tile(np.zeros((1, side, side))).shape == (side * scale + 2 * GAP,) * 2


def test_a_sheet_is_as_square_as_it_can_be():
    """Ten images lie in four columns and three rows; the empty places are background."""
    page = tile(np.ones((10, 1, 1)), scale=1)
    assert page.shape == (3 * 3 + GAP, 4 * 3 + GAP)
    assert (page == 255).sum() == 10


@pytest.mark.parametrize("value", [0.0, 0.3, 0.7, 1.0])
def test_the_lines_are_seen_on_dark_and_light(value):
    """The grey between the tiles is far from that of an even image, black to white."""
    page = tile(np.full((4, 8, 8), value)).astype(int)
    assert abs(page[0, 0] - page[GAP, GAP]) > 3


def test_what_is_out_of_range_is_clipped():
    """Below 0 is black, above 1 is white."""
    page = tile(np.array([[[-3.0, 0.0, 1.0, 9.0]]]), scale=1)
    assert page[GAP, GAP:-GAP].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_magenta(channels, bad):
    """A diverged pixel is seen at once and the others keep their values."""
    images = np.full((1, 2, 2, *channels), 0.2)
    images[0, 0, 1] = bad
    page = tile(images, scale=1)
    assert page[GAP, GAP + 1].tolist() == [255, 0, 255]
    assert page[GAP, GAP].tolist() == [51, 51, 51]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_level_of_eight_bits_survives(dtype):
    """k / 255 in any precision is drawn as k."""
    levels = (np.arange(256) / 255).astype(dtype).reshape(1, 16, 16)
    np.testing.assert_array_equal(tile(levels, scale=1)[GAP:-GAP, GAP:-GAP].ravel(), np.arange(256))


@pytest.mark.parametrize(
    "shape", [(3,), (4, 4), (0, 4, 4), (2, 0, 4), (2, 4, 4, 2), (2, 4, 4, 3, 1)]
)
def test_other_shapes_are_refused(shape):
    """The error names the shape that came."""
    with pytest.raises(ValueError, match=r"images: expected shape .* got \("):
        tile(np.zeros(shape))


def test_columns_and_scale_are_positive(tmp_path):
    """Zero columns or a scale of zero are refused."""
    for bad in ({"columns": 0}, {"scale": 0}):
        with pytest.raises(ValueError, match="from 1"):
            sheet(np.zeros((1, 2, 2)), tmp_path / "x.png", **bad)
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_that_cannot_be_written_names_the_file(tmp_path):
    """A missing directory is a storage error with the path in it."""
    with pytest.raises(CheckpointError, match=r"gone/x\.png: cannot be written"):
        sheet(np.zeros((1, 2, 2)), tmp_path / "gone" / "x.png")
