r"""Makes text from outside harmless before people see it; logs and models write what they like.

Control characters become visible escapes, so that a log cannot move a cursor, reverse a line or
hide a difference. HTML is escaped by the template engine; Markdown is escaped here.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote
from urllib.parse import urlsplit

from markupsafe import Markup

__all__ = [
    "error_message",
    "inside_link",
    "markdown",
    "markdown_code",
    "one_line",
    "visible",
    "web_link",
]

# Beside C0 and C1: what is invisible or reorders text (zero-width, bidirectional, tags, line
# separators) and lone surrogates, which no UTF-8 file can hold.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~&$!]")


def visible(text: str) -> str:
    r"""Return ``text`` with unseen characters as escapes; line ends and tabs stay.

    Example:
        >>> visible("\x1b[31mred\u202e")
        '\\x1b[31mred\\u202e'
    """
    return _UNSEEN.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Return ``text`` visible and with each run of white space as one space.

    Example:
        >>> one_line("a\n  b\x00")
        'a b\\x00'
    """
    return " ".join(visible(text).split())


def error_message(body: bytes) -> str:
    r"""Return the message in a server's error answer, else the answer; neither is harmless yet.

    Example:
        >>> error_message(b'{"error": {"message": "too long", "code": 400}}')
        'too long'
    """
    text = body.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    error = data.get("error", data) if isinstance(data, dict) else data
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else text


def markdown(text: str) -> Markup:
    r"""Return ``text`` as one line of Markdown that shows it and does nothing else.

    Mentions are broken by a word joiner: a report pasted into a forge must not call anybody.

    Example:
        >>> str(markdown("<b>|[x](y) @me"))
        '\\<b\\>\\|\\[x\\](y) @&#8288;me'
    """
    escaped = _MARKDOWN.sub(r"\\\g<0>", one_line(text))
    return Markup(escaped.replace("@", "@&#8288;"))  # noqa: S704 - Markdown is escaped above


def markdown_code(text: str) -> Markup:
    r"""Return ``text`` as a block of Markdown code whose fence it cannot close.

    Example:
        >>> str(markdown_code("a ``` b"))
        '````text\na ``` b\n````'
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}text\n{visible(text)}\n{fence}")  # noqa: S704 - a fence holds it


def inside_link(relative: str | None) -> str | None:
    """Return the address of a file in the folder of the page; None for anything outside it.

    Example:
        >>> inside_link("logs/a b.log"), inside_link("../secret"), inside_link("/etc/passwd")
        ('logs/a%20b.log', None, None)
    """
    parts = (relative or "").replace("\\", "/").split("/")
    if relative is None or ".." in parts or not parts[0]:
        return None
    return quote(relative, safe="/", errors="backslashreplace")


def web_link(address: str | None) -> str | None:
    """Return ``address`` if it is one that a browser may be sent to, else None.

    Example:
        >>> web_link("https://example.org/1"), web_link("javascript:alert(1)")
        ('https://example.org/1', None)
    """
    try:
        scheme = urlsplit(address or "").scheme
    except ValueError:  # half an IPv6 address, for example: no link, and the text stays text
        return None
    return address if scheme in {"http", "https"} and address == one_line(address or "") else None


def _escape(match: re.Match[str]) -> str:
    # Escapes and not the signs of Unicode's "control pictures": many fonts lack those.
    code = ord(match[0])
    return (
        f"\\x{code:02x}" if code < 0x100 else match[0].encode("ascii", "backslashreplace").decode()
    )
