"""The engine's tokenizer and its language: deterministic words drawn from a hash of the prompt.

A token is a word of the engine's own vocabulary with its leading space, or else one byte of
UTF-8. So every text round-trips, a prompt of an exact length is easy to make (`" ba" * n` is n
tokens), and generated text is one token a word.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from itertools import product
from pathlib import Path
from typing import Final

BYTE_TOKENS: Final = 256
NATURAL_LENGTH_TOKENS: Final = range(64, 192)
WORDS: Final = tuple(
    " " + "".join(parts)
    for parts in [
        *product("bdfgklmnprstvz", "aeiou"),
        *product("bdfgklmnprstvz", "aeiou", "bdfgklmnprstvz", "aeiou"),
    ]
)
FREQUENT_WORDS: Final = 5
VOCABULARY_TOKENS: Final = BYTE_TOKENS + len(WORDS)
_IDS: Final = {word: BYTE_TOKENS + index for index, word in enumerate(WORDS)}
_PIECE: Final = re.compile(r" [a-z]+(?![^\W_])|.", re.DOTALL)


def encode(text: str) -> list[int]:
    """Cut text into token ids; lone surrogates become question marks."""
    ids: list[int] = []
    for match in _PIECE.finditer(text):
        piece = match.group()
        known = _IDS.get(piece)
        ids.extend([known] if known is not None else piece.encode("utf-8", "replace"))
    return ids


def token_bytes(token_id: int) -> bytes:
    """Return the bytes a token stands for; a token beyond the vocabulary wraps around."""
    token_id %= VOCABULARY_TOKENS
    return bytes([token_id]) if token_id < BYTE_TOKENS else WORDS[token_id - BYTE_TOKENS].encode()


def decode(ids: Sequence[int]) -> str:
    """Join tokens into text; broken UTF-8 becomes U+FFFD."""
    return b"".join(map(token_bytes, ids)).decode("utf-8", "replace")


def pieces(ids: Sequence[int]) -> list[str]:
    """Split the text of tokens so that each token carries what it completes.

    The pieces join to `decode(ids)`: the first bytes of a multi-byte character give "".
    """
    result: list[str] = []
    pending = b""
    for position, token_id in enumerate(ids):
        pending += token_bytes(token_id)
        try:
            result.append(pending.decode())
            pending = b""
        except UnicodeDecodeError as error:
            incomplete = error.reason == "unexpected end of data" and position < len(ids) - 1
            result.append("" if incomplete else pending.decode("utf-8", "replace"))
            pending = pending if incomplete else b""
    return result


def render_chat(messages: Sequence[Mapping[str, object]]) -> str:
    """Write chat messages as the one prompt that the engine sees; content parts are joined."""
    turns = [f"<|{message.get('role')}|>\n{_content(message)}\n" for message in messages]
    return "".join(turns) + "<|assistant|>\n"


def generate(prompt: Sequence[int], seed: object, max_tokens: int, *, endless: bool) -> list[int]:
    """Draw word tokens; a longer answer begins with the shorter one.

    Args:
        prompt: token ids.
        seed: anything with a stable `repr`; greedy requests share one.
        max_tokens: upper bound on the answer, tokens.
        endless: whether to ignore the answer's natural end.
    """
    root = hashlib.sha256(repr((list(prompt), seed)).encode()).digest()
    natural = NATURAL_LENGTH_TOKENS[root[0] % len(NATURAL_LENGTH_TOKENS)]
    count = max_tokens if endless else min(max_tokens, natural)
    return [BYTE_TOKENS + _draw(root, step) % _choice(step) for step in range(count)]


def _choice(step: int) -> int:
    """Every fourth word is one of a few, as in languages; nobody speaks in new words alone."""
    return FREQUENT_WORDS if step % 4 == 3 else len(WORDS)


def logprob(token_id: int, position: int) -> float:
    """Return a made-up log-probability between -2 and 0 that repeats for token and position."""
    return -(_draw(b"logprob", token_id * 65537 + position) % 2000) / 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer that is stored.

    Attributes:
        text: the answer.
        output_tokens: how many tokens it shall count; None for those of this tokenizer, which
            takes a byte each for words that it does not know.
    """

    text: str
    output_tokens: int | None = None

    def parts(self) -> list[str] | None:
        """Cut the text into its tokens; None leaves that to this tokenizer."""
        count = self.output_tokens
        if count is None:
            return None
        size = len(self.text)
        ends = [size * step // count for step in range(count + 1)]
        return [self.text[start:end] for start, end in pairwise(ends)]


def load_answers(path: str | None) -> dict[str, Stored]:
    """Read stored answers, JSONL of prompt_sha256, text and output_tokens; none without a path."""
    if path is None:
        return {}
    lines = Path(path).read_text(encoding="utf-8").split("\n")  # texts may hold other line ends
    rows = [json.loads(line) for line in lines if line]
    return {row["prompt_sha256"]: Stored(row["text"], row.get("output_tokens")) for row in rows}


def _content(message: Mapping[str, object]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)  # type: ignore[attr-defined]


def _draw(root: bytes, step: int) -> int:
    return int.from_bytes(hashlib.blake2b(root + step.to_bytes(8, "big"), digest_size=4).digest())
