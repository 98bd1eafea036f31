"""Text from outside: seen whole, and without effect."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.inert import inside_link
from hwval.inert import markdown
from hwval.inert import markdown_code
from hwval.inert import one_line
from hwval.inert import visible
from hwval.inert import web_link


@given(st.text(st.characters()))
def test_visible_text_can_be_written_and_holds_no_control(text: str) -> None:
    """Whatever comes in, what goes out is printable UTF-8."""
    shown = visible(text)

    shown.encode("utf-8")
    assert not [each for each in shown if unicodedata.category(each) in {"Cc", "Cs"}
                and each not in "\n\t"]  # fmt: skip


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_left_alone(text: str) -> None:
    """Printable ASCII is shown as it is."""
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\nb", "a\\x0d\nb"),
        ("\u202eabc", "\\u202eabc"),
        ("a\u200bb", "a\\u200bb"),
        ("\ud800", "\\ud800"),
        ("\x9b", "\\x9b"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_unseen_characters_are_escapes(text: str, shown: str) -> None:
    """A reader sees what a terminal or a browser would have obeyed or hidden."""
    assert visible(text) == shown


@given(st.text())
def test_one_line_has_no_line_end(text: str) -> None:
    """What stands in a row of a table stays in it."""
    assert len(one_line(text).splitlines()) <= 1


@given(st.text("`~\n abc"))
def test_a_block_of_code_cannot_be_closed_from_inside(text: str) -> None:
    """The fence is longer than any run of backticks in the text."""
    first, *body, last = markdown_code(text).split("\n")

    assert first == f"{last}text"
    assert not [line for line in body if last in line]


def test_markdown_shows_markup_instead_of_obeying() -> None:
    """Links, images, tables, HTML and mentions are text."""
    assert str(markdown("![i](u) <b> a|b @you `c` *d* # e &amp; $x$")) == (
        "\\!\\[i\\](u) \\<b\\> a\\|b @&#8288;you \\`c\\` \\*d\\* \\# e \\&amp; \\$x\\$"
    )


@pytest.mark.parametrize(
    "outside", ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "\\\\host\\share", "", None]
)
def test_links_stay_in_the_folder(outside: str | None) -> None:
    """A log outside the run's folder is never linked."""
    assert inside_link(outside) is None


def test_a_log_cannot_be_a_script() -> None:
    """A colon is escaped, so that no file name is a scheme."""
    assert inside_link("javascript:alert(1)") == "javascript%3Aalert%281%29"


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//x", "", None, "http://[", "http://\n"]
)
def test_only_web_addresses_are_links(address: str | None) -> None:
    """What a browser could run or misread is not linked."""
    assert web_link(address) is None
