# SPDX-License-Identifier: Apache-2.0
"""Laws of markup: text stays text."""

from html.parser import HTMLParser

import hypothesis
import hypothesis.strategies as st
import pytest

from jaxml.training.report.markup import Html, element, join, raw
from jaxml.training.report.text import masked


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@hypothesis.given(st.text(), st.text())
def test_text_and_attributes_come_back_as_they_were(text, attribute):
    """A parser finds one element, and in it exactly the cleaned text and attribute."""
    seen = Reader(element("p", text, title=attribute))
    assert seen.text == masked(text)
    ((tag, attributes),) = seen.tags
    assert tag == "p"
    # The standard reads a line break in an attribute as it is written.
    assert attributes["title"] == masked(attribute)


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'&lt;&#x3c;", "</p><b>"],
)
def test_hostile_text_makes_no_element(text):
    """As a child, as an attribute and inside nested elements it stays text."""
    markup = element("div", text, element("p", text, title=text), join(text, "x"), id=text)
    assert [tag for tag, _ in Reader(markup).tags] == ["div", "p"]


def test_names_of_attributes():
    """`class_` is class, an underscore a hyphen, and None is left out."""
    assert (
        element("i", class_="a", aria_label="b", title=None) == '<i class="a" aria-label="b"></i>'
    )


def test_void_elements_have_no_end():
    """An image is not closed; children that are None vanish."""
    assert element("img", alt="x") == '<img alt="x">'
    assert element("p", None, "a", None) == "<p>a</p>"


def test_only_html_is_not_escaped():
    """What `element` or `raw` made is kept, and is Html again."""
    assert element("p", raw("<b>x</b>")) == "<p><b>x</b></p>"
    assert isinstance(join(element("p"), "<"), Html)
    assert join(element("p"), "<") == "<p></p>&lt;"
