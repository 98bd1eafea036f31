"""Which capabilities a cell is asked for: promised, and its server started for them."""

from __future__ import annotations

from typing import Final

from hwval.capability.promise import CapabilitiesSection
from hwval.catalogue import Capability
from hwval.catalogue import Server
from hwval.cell import Cell

__all__ = ["tools_hint", "why_not_asked"]

_TOOL_FLAGS: Final = ("tool-call-parser", "enable-auto-tool-choice")
_WRITES: Final = frozenset(Capability) - {Capability.EMBEDDINGS}


def why_not_asked(
    wanted: Capability,
    *,
    offered: frozenset[Capability],
    section: CapabilitiesSection,
    cell: Cell,
    server: Server,
) -> str | None:
    """Return why a cell is not asked for a capability, None if it is.

    What the matrix adds is promised, whatever the flags say: a server that was not started for it
    refuses, and that is a failure.

    Args:
        wanted: The capability.
        offered: What image and model promise.
        section: What the matrix promises beyond, and what less.
        cell: Its flags say what a vLLM was started for.
        server: Program that answers; only vLLM's flags are known.
    """
    if wanted in section.add:
        return None
    if wanted in section.remove:
        return f"the matrix takes {wanted} away"
    if wanted not in offered:
        return f"image and model do not promise {wanted}"
    return _flag_against(wanted, offered, cell) if server is Server.VLLM else None


def tools_hint(cell: Cell, server: Server) -> str:
    """Return what is likely to be the matter where a cell is asked to call a tool and does not.

    Args:
        cell: Its flags say what a vLLM was started for.
        server: Program that answers; of others than vLLM no flags are known.
    """
    if server is not Server.VLLM:
        return ""
    missing = [flag for flag in _TOOL_FLAGS if not cell.arg(flag)]
    if missing:
        wanted = {"tool-call-parser": "NAME", "enable-auto-tool-choice": "true"}
        flags = ", ".join(f"{flag}: {wanted[flag]}" for flag in missing)
        return (
            f"likely since the cell has no {' and no '.join(missing)}: set engine: {{{flags}}}"
            f"{', with the parser of the model, as hermes' if 'NAME' in flags else ''}"
        )
    return (
        f"likely remedy: tool-call-parser {cell.arg(_TOOL_FLAGS[0])} must be the one for this "
        "model, and its chat template must offer tools (engine: {chat-template: FILE})"
    )


def _flag_against(wanted: Capability, offered: frozenset[Capability], cell: Cell) -> str | None:
    """Return which flag of vLLM, or which missing one, stands against a capability.

    Source: vLLM 0.32.0: a server of the pooling runner answers 404 to requests for text, one of
    the generate runner to those for embeddings; models that can only embed get the former by
    themselves. Tools, also those that are named or required, are refused with 400 unless both
    flags are there: without the second the parser is not set.
    """
    pools = cell.arg("runner") == "pooling" or cell.arg("task") == "embed"
    if pools and wanted in _WRITES:
        return "the server is started for embeddings (runner: pooling)"
    if wanted is Capability.EMBEDDINGS and not pools and Capability.COMPLETIONS in offered:
        return "the server is started for text; embeddings need runner: pooling"
    missing = [flag for flag in _TOOL_FLAGS if not cell.arg(flag)]
    if wanted is Capability.TOOLS and missing:
        return f"the server is started without {' and '.join(missing)}"
    return None
