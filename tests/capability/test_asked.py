"""Which capabilities a cell is asked for."""

from __future__ import annotations

import pytest

from hwval.capability.asked import tools_hint
from hwval.capability.asked import why_not_asked
from hwval.capability.promise import CapabilitiesSection
from hwval.catalogue import Capability
from hwval.catalogue import Server
from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype

TEXT = frozenset({Capability.COMPLETIONS, Capability.CHAT})
TOOLS = TEXT | {Capability.TOOLS}
VECTORS = frozenset({Capability.EMBEDDINGS})


def _why_not(
    wanted: Capability,
    offered: frozenset[Capability],
    *arguments: tuple[str, ArgValue],
    server: Server = Server.VLLM,
    **section: tuple[Capability, ...],
) -> str | None:
    return why_not_asked(
        wanted,
        offered=offered,
        section=CapabilitiesSection.model_validate(section),
        cell=Cell("cpu", 1, "image", "model", Dtype.AUTO, engine_args=arguments),
        server=server,
    )


@pytest.mark.parametrize("capability", sorted(TEXT))
def test_what_both_promise_is_asked(capability: Capability) -> None:
    """Without a word in the matrix."""
    assert _why_not(capability, TEXT) is None


def test_what_nobody_promises_is_not_asked() -> None:
    """The reason is told."""
    assert _why_not(Capability.VISION, TEXT) == "image and model do not promise vision"


def test_matrix_adds_and_takes_away() -> None:
    """It knows more than the catalogue."""
    assert _why_not(Capability.VISION, TEXT, add=(Capability.VISION,)) is None
    why_not = _why_not(Capability.CHAT, TEXT, remove=(Capability.CHAT,))
    assert why_not == "the matrix takes chat away"


@pytest.mark.parametrize(
    ("added", "offered"),
    [
        pytest.param(Capability.TOOLS, TOOLS, id="tools-without-parser"),
        pytest.param(Capability.EMBEDDINGS, TEXT, id="embeddings-of-a-server-for-text"),
    ],
)
def test_what_the_matrix_adds_is_asked_whatever_the_flags_say(
    added: Capability, offered: frozenset[Capability]
) -> None:
    """It is a promise, and the server's refusal a failure."""
    assert _why_not(added, offered, add=(added,)) is None


def test_vllm_calls_tools_with_both_flags_alone() -> None:
    """They are the promise; other servers need none."""
    parser, choice = ("tool-call-parser", "hermes"), ("enable-auto-tool-choice", True)
    without = "the server is started without "

    assert (
        _why_not(Capability.TOOLS, TOOLS)
        == f"{without}tool-call-parser and enable-auto-tool-choice"
    )
    assert _why_not(Capability.TOOLS, TOOLS, parser) == f"{without}enable-auto-tool-choice"
    off = ("enable-auto-tool-choice", False)
    assert _why_not(Capability.TOOLS, TOOLS, parser, off) is not None
    assert _why_not(Capability.TOOLS, TOOLS, parser, choice) is None
    assert _why_not(Capability.TOOLS, TOOLS, server=Server.LLAMA_CPP) is None


def test_pooling_server_writes_no_text() -> None:
    """And one for text gives no vectors; a model that can do nothing else needs no flag."""
    pooling = ("runner", "pooling")
    both = TEXT | VECTORS

    assert "started for embeddings" in (_why_not(Capability.CHAT, both, pooling) or "")
    assert _why_not(Capability.EMBEDDINGS, both, pooling) is None
    assert "embeddings need runner" in (_why_not(Capability.EMBEDDINGS, both) or "")
    assert _why_not(Capability.EMBEDDINGS, VECTORS) is None
    assert _why_not(Capability.EMBEDDINGS, both, server=Server.INFINITY) is None


def test_hint_names_the_flags_that_are_missing() -> None:
    """Or the parser that may be the wrong one; of other servers no flags are known."""
    parser, choice = ("tool-call-parser", "hermes"), ("enable-auto-tool-choice", True)

    def hint(*flags: tuple[str, str | bool], server: Server = Server.VLLM) -> str:
        cell = Cell("cpu", 1, "img:1", "m", Dtype.AUTO, engine_args=flags)
        return tools_hint(cell, server)

    assert "{tool-call-parser: NAME, enable-auto-tool-choice: true}" in hint()
    assert hint(parser).endswith("set engine: {enable-auto-tool-choice: true}")
    assert "tool-call-parser hermes must be the one for this model" in hint(parser, choice)
    assert hint(server=Server.LLAMA_CPP) == ""
