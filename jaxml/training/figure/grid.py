# SPDX-License-Identifier: Apache-2.0
"""Sheets: many small images as one PNG, each pixel of them a square of pixels."""

import math
import struct
import zlib
from os import PathLike

import numpy as np

from jaxml.training.storage import atomic

LEGIBLE = 48  # pixels of a tile's longer side: an 8 × 8 digit is drawn six times its size
GAP = 2  # pixels between tiles and around them
NOT_A_NUMBER = (255, 0, 255)  # magenta: no model draws it by chance


def sheet(
    images: np.ndarray,
    path: str | PathLike[str],
    *,
    columns: int | None = None,
    scale: int | None = None,
) -> None:
    """Write images as one PNG, row by row, with thin lines between them.

    Args:
      images: `(n, H, W)` or `(n, H, W, C)` with C = 1 or 3, intensities in [0, 1]; what lies
        outside is clipped, and what is not finite is drawn magenta.
      path: the file; replaced as a whole.
      columns: images a row; `None` makes the sheet as square as it can be.
      scale: pixels per pixel; `None` enlarges small images until they are legible.

    Raises:
      ValueError: if the images are none, or of another shape.
      CheckpointError: if the file cannot be written.
    """
    atomic.write_bytes(path, png(tile(images, columns=columns, scale=scale)))


def tile(images: np.ndarray, *, columns: int | None = None, scale: int | None = None) -> np.ndarray:
    """The pixels of a sheet: uint8, `(H', W')` or `(H', W', 3)`; the arguments are `sheet`'s."""
    images = np.asarray(images)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    colour = images.ndim == 4 and images.shape[-1] == 3
    if not (images.ndim == 3 or colour) or 0 in images.shape:
        expected = "(n, H, W) or (n, H, W, C) with C = 1 or 3"
        raise ValueError(f"images: expected shape {expected}, got {images.shape}")
    if (columns is not None and columns < 1) or (scale is not None and scale < 1):
        raise ValueError(f"sheet: expected columns and scale from 1, got {columns} and {scale}")
    n, height, width = images.shape[:3]
    across = min(n, columns or math.ceil(math.sqrt(n)))
    scale = scale or max(1, math.ceil(LEGIBLE / max(height, width)))
    pixels = _bytes(images.astype(np.float64))
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    rows = math.ceil(n / across)
    height, width = height * scale + GAP, width * scale + GAP
    line = 72 if pixels.mean() < 128 else 200
    page = np.full((rows * height + GAP, across * width + GAP, *pixels.shape[3:]), line, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // across * height + GAP, i % across * width + GAP
        page[top : top + height - GAP, left : left + width - GAP] = image
    return page


def _bytes(images: np.ndarray) -> np.ndarray:
    """Intensities as bytes, rounded to the nearest; grey images with a magenta pixel get colour."""
    finite = np.isfinite(images)
    pixels = np.round(255 * np.clip(np.where(finite, images, 0), 0, 1)).astype(np.uint8)
    if finite.all():
        return pixels
    if images.ndim == 3:
        pixels, finite = pixels[..., None].repeat(3, axis=-1), finite[..., None]
    return np.where(finite.all(-1, keepdims=True), pixels, np.array(NOT_A_NUMBER, np.uint8))


def png(pixels: np.ndarray) -> bytes:
    """A PNG file (RFC 2083) of grey `(H, W)` or colour `(H, W, 3)` bytes.

    The same pixels give the same bytes: there is no time and no program name in the file.
    """
    height, width = pixels.shape[:2]
    colour_type = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    lines = pixels.reshape(height, -1)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1)  # filter 0: none
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
