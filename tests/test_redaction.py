"""Secrets are taken out of streams and descriptions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.redaction import REDACTED
from hwval.redaction import Redactor
from hwval.redaction import looks_secret

SECRET = "hf_abcabd"
TEXT = st.lists(st.sampled_from([SECRET, "hf_abc", "h", "x", "\n", "hf_", "abd"]), max_size=12)


@given(TEXT, st.lists(st.integers(1, 7), max_size=20))
def test_stream_equals_the_whole_however_it_is_cut(words: list[str], sizes: list[int]) -> None:
    """A secret that falls between two parts is removed as if it had come at once."""
    whole = "".join(words).encode()
    redactor, out, rest = Redactor([SECRET]), b"", whole
    for size in [*sizes, len(whole) or 1]:
        out, rest = out + redactor.feed(rest[:size]), rest[size:]
    out += redactor.feed(rest) + redactor.flush()
    assert out == whole.replace(SECRET.encode(), REDACTED.encode())


KINDRED = ["abcd", "abcdefgh", "xabcd", "aaaa"]
PIECES = st.lists(st.sampled_from(["abcd", "efgh", "xab", "cd", "aa", "x", "e"]), max_size=12)


@given(PIECES, st.lists(st.integers(1, 5), max_size=20))
def test_secrets_that_overlap_leave_nothing_however_they_are_cut(
    words: list[str], sizes: list[int]
) -> None:
    """A secret that begins with another, or ends with its beginning, leaves no tail."""
    whole = "".join(words)
    redactor, out, rest = Redactor(KINDRED), b"", whole.encode()
    for size in sizes:
        out, rest = out + redactor.feed(rest[:size]), rest[size:]
    out += redactor.feed(rest) + redactor.flush()
    assert out.decode() == redactor.text(whole)
    left = out.decode().split(REDACTED)
    # Two parts that stood apart may spell a secret by chance: what is left is looked at one by one.
    assert not any(secret in part for part in left for secret in KINDRED)


def test_endless_secret_is_not_held_back() -> None:
    """Memory stays small where one secret runs into the next for ever."""
    redactor = Redactor(["aaaa"])
    out = [redactor.feed(b"aaaa") for _ in range(1000)]
    assert b"".join(out) == REDACTED.encode()
    assert redactor.flush() == b""


def test_text_that_begins_no_secret_is_not_held_back() -> None:
    """A line without its end is passed on at once, so that a living log is seen to live."""
    assert Redactor([SECRET]).feed(b"loading 12 %") == b"loading 12 %"


def test_longer_secret_goes_first() -> None:
    """A secret that begins with another leaves no tail."""
    assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh") == REDACTED


def test_short_values_are_left() -> None:
    """Values that stand in any text are not looked for."""
    assert Redactor(["", "a1"]).text("a1 text") == "a1 text"


def test_description_loses_secrets_by_value_and_by_name() -> None:
    """Variables, keys and addresses with a login lose their values at any depth."""
    described = {
        "Env": [f"X={SECRET}", "API_KEY=own", "TOKENIZERS_PARALLELISM=false", "EMPTY_TOKEN="],
        "Deep": {"password": "p", "Args": ["--x", f"a{SECRET}b"], "n": 3},
        "proxy": "http://user:pw@proxy:80",
    }
    assert Redactor([SECRET]).tree(described) == {
        "Env": [f"X={REDACTED}", f"API_KEY={REDACTED}", "TOKENIZERS_PARALLELISM=false",
                "EMPTY_TOKEN="],
        "Deep": {"password": REDACTED, "Args": ["--x", f"a{REDACTED}b"], "n": 3},
        "proxy": f"http://{REDACTED}@proxy:80",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "secret"),
    [("HF_TOKEN", True), ("AWS_SECRET_ACCESS_KEY", True), ("db_password", True),
     ("TOKENIZERS_PARALLELISM", False), ("PATH", False)],
)  # fmt: skip
def test_names_of_secrets(name: str, secret: bool) -> None:  # noqa: FBT001 - a table's column
    """Names tell secrets from settings."""
    assert looks_secret(name) is secret
