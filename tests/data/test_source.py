# SPDX-License-Identifier: Apache-2.0
"""Named data sets: pinned bytes, published splits, no example in two parts."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxml.data.error import DataError
from jaxml.data.source import SOURCES, directory, load

DATA_DIR = os.environ.get("JAXML_DATA_DIR")
SIZES = {
    "mnist": (50000, 5000, 10000),
    "fashion_mnist": (18000, 2000, 10000),
    "cifar10": (5500, 500, 2000),
    "mnist1d": (3600, 400, 1000),
    "frey_faces": (1565, 200, 200),
    "omniglot": (14 * 242, 2 * 242, 4 * 242),
    "bsds300": (99000, 10000, 30000),
    "red_wine": (1281, 159, 159),
    "white_wine": (3920, 489, 489),
    "ionosphere": (281, 35, 35),
    "nltcs": (16181, 2157, 3236),
    "plants": (17412, 2321, 3482),
    "baudio": (15000, 2000, 3000),
    "mushrooms": (2000, 500, 5624),
    "dna": (1600, 400, 1186),
    "nips": (400, 100, 1240),
    "jsb_chorales": (229, 76, 77),
    "old_faithful": (272, 0, 0),
    "tinyshakespeare": (1003854, 111540, 0),
}


def present(name):
    """Skip unless the file is there."""
    if not DATA_DIR:
        pytest.skip("JAXML_DATA_DIR is not set")
    path = Path(DATA_DIR) / SOURCES[name].file
    if not path.exists():
        pytest.skip(f"{path.name} is not in JAXML_DATA_DIR")
    return path


def test_the_table_of_sizes_is_complete():
    assert set(SIZES) == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_a_named_set_has_its_published_sizes(name):
    present(name)
    splits = load(name)
    assert tuple(len(part["x"]) for part in splits) == SIZES[name]
    for part in splits:
        assert len({len(value) for value in part.values()}) == 1


def test_mnist_is_the_canonical_one_in_canonical_order():
    """The first labels are 5 0 4 1 9 (train) and 7 2 1 0 4 (test); mean intensity 0.1307."""
    present("mnist")
    splits = load("mnist")
    assert splits.train["y"][:5].tolist() == [5, 0, 4, 1, 9]
    assert splits.test["y"][:5].tolist() == [7, 2, 1, 0, 4]
    assert splits.train["x"].shape[1:] == (28, 28, 1)
    assert abs(splits.train["x"].mean() / 255 - 0.1307) < 5e-4


def test_text_decodes_to_its_first_words():
    present("tinyshakespeare")
    assert load("tinyshakespeare").train["x"][:13].tobytes() == b"First Citizen"


def test_chorales_are_cut_by_length():
    """The notes of a piece lie before its length, silence after; the frames add up."""
    path = present("jsb_chorales")
    splits = load("jsb_chorales")
    with np.load(path, allow_pickle=False) as raw:
        for part, name in zip(splits, splits._fields, strict=True):
            pieces = [x[:n] for x, n in zip(part["x"], part["length"], strict=True)]
            np.testing.assert_array_equal(np.concatenate(pieces), raw[f"{name}_roll"])
            assert sum(x[n:].sum() for x, n in zip(part["x"], part["length"], strict=True)) == 0


def test_indexed_sets_are_disjoint_and_complete():
    path = present("red_wine")
    splits = load("red_wine")
    with np.load(path, allow_pickle=False) as raw:
        total = sum(part["x"].sum(axis=0) for part in splits)
        np.testing.assert_allclose(total, raw["red_wine_x"].sum(axis=0), rtol=1e-12)


def test_another_file_under_the_name_is_refused(tmp_path):
    """One changed byte fails the pinned sum before anything is parsed."""
    path = tmp_path / "old_faithful.npz"
    path.write_bytes(b"PK" + bytes(100))
    with pytest.raises(DataError, match=r"old_faithful\.npz: has sha256 \w{64}, expected f0991ba7"):
        load("old_faithful", tmp_path)


def test_unverified_files_are_still_checked_for_their_layout(tmp_path):
    np.savez(tmp_path / "old_faithful.npz", x=np.zeros((5, 3)))
    with pytest.raises(DataError, match=r"x is float64\[5, 3\], expected float64\[any, 2\]"):
        load("old_faithful", tmp_path, verify=False)
    np.savez(tmp_path / "old_faithful.npz", x=np.ones((5, 2)))
    assert load("old_faithful", tmp_path, verify=False).train["x"].shape == (5, 2)


@pytest.mark.parametrize("part", [[0, 1, 1], [0, 1, -1], [0, 1, 9]])
def test_rows_in_two_parts_are_refused(tmp_path, part):
    arrays = {"red_wine_x": np.zeros((5, 11))}
    rows = {"train": part, "valid": [2], "test": [3]}
    arrays |= {f"red_wine_{name}": np.array(value) for name, value in rows.items()}
    np.savez(tmp_path / "uci_rnade.npz", **arrays)
    with pytest.raises(DataError, match="not disjoint rows of 5"):
        load("red_wine", tmp_path, verify=False)


def test_labels_of_another_length_are_refused(tmp_path):
    x, y = np.zeros((6001, 28, 28), np.uint8), np.zeros(6000, np.uint8)
    np.savez_compressed(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(DataError, match="x has 6001, y has 6000"):
        load("mnist", tmp_path, verify=False)


def test_the_data_directory_is_the_argument_or_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXML_DATA_DIR", str(tmp_path))
    assert directory() == tmp_path
    (tmp_path / "other").mkdir()
    assert directory(tmp_path / "other") == tmp_path / "other"
    with pytest.raises(DataError, match="missing: is not a directory"):
        directory(tmp_path / "missing")
    with pytest.raises(DataError, match="does not exist"):
        load("mnist")
    with pytest.raises(DataError, match="is no data set; there are mnist"):
        load("imagenet")
    monkeypatch.delenv("JAXML_DATA_DIR")
    with pytest.raises(DataError, match="JAXML_DATA_DIR"):
        directory()


def test_loading_leaves_the_directory_as_it_was(tmp_path):
    path = present("old_faithful")
    shutil.copy(path, tmp_path)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()}
    load("old_faithful", tmp_path)
    assert before == {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()}
