"""How Allure sorts results: a status for each verdict, a category for each kind of trouble."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from itertools import chain
from typing import Any
from typing import Final

from hwval.diagnosis.finding import LAB_FAMILY
from hwval.diagnosis.rules import load_rules
from hwval.verdict import Outcome

__all__ = ["PROMISE_BROKEN", "STATUS", "categories"]

STATUS: Final[Mapping[Outcome, str]] = {
    Outcome.PASS: "passed",
    Outcome.FIXED: "passed",
    Outcome.FAIL: "failed",
    Outcome.INFRA: "broken",
    Outcome.INCONCLUSIVE: "broken",
    Outcome.KNOWN: "skipped",
    Outcome.BLOCKED: "skipped",
    Outcome.IMPOSSIBLE: "skipped",
    Outcome.NOT_RUN: "skipped",
}
PROMISE_BROKEN: Final = "promise-broken"
_FAMILIES: Final[Mapping[str, str]] = {
    "memory": "memory",
    "support": "not supported here",
    "model": "model files",
    "usage": "arguments and configuration",
    "kernel": "kernels, GPU calls and collectives",
    "process": "image and processes",
    "none": "cause not known",
}
_BROKEN: Final = (
    ("Promises not kept: accuracy", r" \(accuracy\)"),
    ("Promises not kept", r"(?! \(accuracy\))(?: \(\w+\))?"),
)
_WORDS: Final = (
    ("Product failures: answers of a live engine", Outcome.FAIL),
    ("Lab failures", Outcome.INFRA),
    ("Inconclusive measurements", Outcome.INCONCLUSIVE),
    ("Known issues", Outcome.KNOWN),
    ("Fixed, but still in the ledger", Outcome.FIXED),
    ("Blocked by an earlier failure", Outcome.BLOCKED),
    ("Impossible on this hardware", Outcome.IMPOSSIBLE),
    ("Not run", Outcome.NOT_RUN),
)


def categories() -> list[dict[str, Any]]:
    """Return the families of results, of which each result but a plain PASS has just one.

    Every message begins with the verdict's word, and that of a failure goes on with the id of its
    cause: this is what is matched. A FAIL is sorted by the family of its cause.
    """
    families: dict[str, list[str]] = {}
    for cause in load_rules().causes.values():
        if cause.family != LAB_FAMILY:  # whose verdict is INFRA
            families.setdefault(cause.family, []).append(cause.id)
    product = [
        _category(f"Product failures: {_FAMILIES.get(name, name)}", Outcome.FAIL, _one_of(causes))
        for name, causes in families.items()
    ]
    # Allure 2 gives a result all categories that match it.
    known = [*chain.from_iterable(families.values()), rf"{PROMISE_BROKEN}(?: \(\w+\))?"]
    rest = {Outcome.FAIL: f"(?!{_one_of(known)})"}
    broken = [
        _category(name, Outcome.FAIL, rf": {PROMISE_BROKEN}{suite}(?::|$)")
        for name, suite in _BROKEN
    ]
    return [
        *product,
        *broken,
        *(_category(name, word, rest.get(word, r"\b")) for name, word in _WORDS),
    ]


def _one_of(causes: Iterable[str]) -> str:
    return f": (?:{'|'.join(sorted(causes))})(?::|$)"


def _category(name: str, word: Outcome, cause: str) -> dict[str, Any]:
    regex = rf"^{word}{cause}[\s\S]*"
    return {"name": name, "matchedStatuses": [STATUS[word]], "messageRegex": regex}
