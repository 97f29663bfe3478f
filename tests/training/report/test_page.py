# SPDX-License-Identifier: Apache-2.0
"""Laws of the page: it stands alone, and its parts vanish where there is nothing to show."""

import base64
import re

import numpy as np
import pytest

from jaxml.training.figure import png
from jaxml.training.report import page
from jaxml.training.report.markup import element
from jaxml.training.report.text import MASK
from jaxml.training.storage.directory import CheckpointError

PNG = png(np.zeros((2, 3), np.uint8))


def test_the_page_forbids_itself_everything(tmp_path):
    """No script, no link, and a policy that lets the browser load nothing but data images."""
    page.write(tmp_path / "a.html", "title", element("p", "text"))
    text = (tmp_path / "a.html").read_text()
    assert text.startswith("<!doctype html>\n<html lang=")
    assert "default-src &#x27;none&#x27;; img-src data:" in text
    assert not re.search(r"<script|<link|<iframe|@import|url\(|https?://|\son\w+=", text)


def test_what_is_empty_is_left_out():
    """Sections, pairs and lists without content are None."""
    assert page.section("A", None, None) is None
    assert page.pair({"A": None}) is None
    assert page.listing({}) is None
    assert page.section("A", None, element("p", "x")) == "<section><h2>A</h2><p>x</p></section>"


def test_a_picture_is_inside_the_page(tmp_path):
    """The bytes of a PNG, given or read from a file, are in the page in base64."""
    (tmp_path / "a.png").write_bytes(PNG)
    for image in (PNG, tmp_path / "a.png", str(tmp_path / "a.png")):
        markup = page.picture("caption", image)
        (data,) = re.findall(r'src="data:image/png;base64,([^"]*)"', markup)
        assert base64.b64decode(data, validate=True) == PNG
        assert 'alt="caption"' in markup


@pytest.mark.parametrize("image", [b"GIF89a", b"", "missing.png"])
def test_what_is_no_picture_is_said(image):
    """A missing file or another format leaves a sentence in its place, not a broken image."""
    markup = page.picture("caption", image)
    assert "<img" not in markup
    assert "caption (" in markup


def test_tables_and_lists_escape_and_mask():
    """Cells are text; in lists the values of secrets are dots."""
    markup = page.table(["<h>"], [["<a>", 3], [element("td", "x", class_="number"), None]])
    assert '<th scope="col">&lt;h&gt;</th>' in markup
    assert '<tr><td>&lt;a&gt;</td><td>3</td></tr><tr><td class="number">x</td>' in markup
    markup = page.listing({"token": "hunter2", "a": {"b": "<i>"}})
    assert markup == f"<dl><dt>token</dt><dd>{MASK}</dd><dt>a.b</dt><dd>&lt;i&gt;</dd></dl>"


def test_a_page_that_cannot_be_written_names_the_file(tmp_path):
    """A missing directory is a storage error with the path in it."""
    with pytest.raises(CheckpointError, match=r"gone/a\.html: cannot be written"):
        page.write(tmp_path / "gone" / "a.html", "title")
