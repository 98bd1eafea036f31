"""Numbers, hosts and Markdown as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.host import Host
from hwval.host import host_rows
from hwval.signoff_words import facts_of
from hwval.signoff_words import html_text
from hwval.signoff_words import inline_code
from hwval.signoff_words import markdown_text
from hwval.signoff_words import number_of
from hwval.signoff_words import numbers_of

HOST = Host("lab-7", "6.8", "x86_64", "3.11.7", "EPYC", ("avx2", "sse"), (0, 1), 2**34)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ttft_p50_s (concurrency 1)", 0.0161, ("ttft p50 (concurrency 1)", "16.1 ms")),
        ("queue_mean_s", 2.21e-05, ("queue mean", "22.1 µs")),
        ("queue_mean_s", 0.0, ("queue mean", "0 ms")),
        ("output_tokens_per_s (rate 0.5)", 0.0001, ("output (rate 0.5)", "0.0001 tokens/s")),
        ("power_mean_w", 301.5, ("power mean", "302 W")),
        ("kv_cache_used_share_max", 0.25, ("kv cache used share max", "25.0%")),
        ("preemptions", 3.0, ("preemptions", "3")),
    ],
)
def test_units_stand_at_the_end_of_names(
    name: str, value: float, expected: tuple[str, str]
) -> None:
    """Before the point of a curve, where there is one."""
    assert number_of(name, value) == (*expected, f"{name} = {value}")


def test_plans_and_points_have_tables_of_their_own() -> None:
    """Points are told where that table is missing."""
    values = {"a_s": 1.0, "a_s (concurrency 2)": 2.0, "planned_a_s": 3.0}

    assert [one.label for one in numbers_of(values)] == ["a"]
    assert len(numbers_of(values, with_points=True)) == 2


def test_scores_have_intervals_where_they_can() -> None:
    """Counts that make no sense, or none, leave the share alone; nothing is lost."""
    good = {"m_accuracy_ratio": 0.5, "m_questions": 4.0, "m_right_questions": 2.0}
    odd = {**good, "m_right_questions": 5.0}

    assert [one.text for one in numbers_of(good)] == [
        "50.00% (exact 90% interval 9.76% to 90.24%, 2 of 4 right)"
    ]
    assert [one.text for one in numbers_of(odd)] == ["50.00%", "4", "5"]
    assert [one.text for one in numbers_of({"m_accuracy_ratio": 0.5})] == ["50.00%"]


def test_host_is_in_words() -> None:
    """Those that the terminal has."""
    (facts,) = facts_of(HOST.to_json())

    assert list(facts.rows) == list(host_rows(HOST))


def test_hosts_of_merged_runs_are_told_by_their_runs() -> None:
    """Of runs that were merged before, by the path to them."""
    inner = {"hostname": "a, b", "run a": HOST.to_json(), "run b": HOST.to_json()}
    facts = facts_of({"hostname": "a", "run both": inner, "run c": HOST.to_json()})

    assert [each.run for each in facts] == ["both/a", "both/b", "c"]


def test_foreign_facts_are_told_as_they_stand() -> None:
    """But those that are empty."""
    (facts,) = facts_of({"v": 9, "memory_bytes": 2**36, "x": [1], "docker": None, "disks": []})

    assert facts.rows == [("memory", "64.0 GiB"), ("x", "[1]")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://a.org/b_c.", "see <https://a.org/b_c>."),
        ("(http://a.org/b_c), x_y", "(<http://a.org/b_c>), x\\_y"),
        ("run `a_b` and `", "run `a_b` and \\`"),
        ("a `b|c` d", "a \\`b\\|c\\` d"),
        ("``a``", "\\`\\`a\\`\\`"),
        ("javascript://a.org", "javascript://a.org"),
    ],
)
def test_addresses_are_links_and_code_is_code(text: str, expected: str) -> None:
    """All else stays escaped."""
    assert str(markdown_text(text)) == expected


@given(st.text(alphabet="ab`|<>_\\ $@/:.htps\n[]()"))
def test_nothing_escapes_from_a_row(text: str) -> None:
    """Whatever it is: one line, no column more, no element."""
    rest = re.sub(r"(?<![\\`])`[^`]+`(?!`)|<https?://[^\s<>|]+>", "", str(markdown_text(text)))

    assert "\n" not in rest
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<]", rest)


def test_commands_are_code_unless_they_could_end_it() -> None:
    """Then they are escaped text."""
    assert inline_code("a --b='*c_d*'") == "`a --b='*c_d*'`"
    assert inline_code("a | b_c") == "a \\| b\\_c"
    assert inline_code("") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run `a` and `b c`", "run <code>a</code> and <code>b c</code>"),
        ("`<script>`", "<code>&lt;script&gt;</code>"),
        ("`a\nb` ``c`` `", "<code>a b</code> ``c`` `"),
        ("\x1b`'`", "\\x1b<code>&#39;</code>"),
    ],
)
def test_code_in_a_sentence_is_code_on_the_page(text: str, expected: str) -> None:
    """A pair of backticks; all else stays as it is written."""
    assert str(html_text(text)) == expected


@given(st.text(alphabet="ab`<>&'\"/ \n\x00"))
def test_no_element_but_code_comes_of_text(text: str) -> None:
    """And every one of them is closed before the next begins."""
    html = str(html_text(text))
    rest = re.sub(r"<code>[^<>]*</code>", "", html)

    assert not set("<>\"'") & set(rest)
    assert "\x00" not in html
