"""What a result tells: its message, and a description with remedy and measurements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwval.allure.categories import PROMISE_BROKEN
from hwval.inert import markdown
from hwval.inert import markdown_code
from hwval.inert import visible
from hwval.measured import measured_of
from hwval.result import VerdictRecord
from hwval.signoff_words import markdown_text
from hwval.summary import CellSummary
from hwval.summary import Explanation
from hwval.verdict import Outcome

__all__ = ["description_of", "details_of"]


def details_of(cell: CellSummary, answer: VerdictRecord) -> dict[str, Any]:
    """Return the message, which begins with the verdict's word, and what stands below it."""
    if answer.outcome == Outcome.PASS and not answer.reason:
        return {}
    trace, explanation = [answer.details], cell.explain(answer)
    if explanation and not answer.details:  # which else tell the same in full
        evidence = explanation.evidence or "none was recorded"
        trace += [explanation.summary, f"Evidence ({explanation.where}): {evidence}"]
        trace += [f"What to do: {explanation.remedy}"] if explanation.remedy else []
    behind = f"blocked by {answer.blocked_by}" if answer.blocked_by else None
    cause = answer.cause
    if cause == PROMISE_BROKEN:
        cause = f"{cause} ({answer.question.partition('/')[0]})"  # a category for itself
    parts = (answer.outcome.value, cause, answer.reason, behind)
    return {
        "known": answer.outcome == Outcome.KNOWN,
        "message": ": ".join(visible(part) for part in parts if part),
        "trace": "\n".join(visible(part) for part in trace if part),
    }


def description_of(explanation: Explanation | None, answer: VerdictRecord) -> str:
    """Return what is wrong and what to do, as Markdown that shows text of logs and does nothing."""
    return "\n\n".join(filter(None, [*_explanation(explanation, answer), _checks(answer)]))


def _explanation(explanation: Explanation | None, answer: VerdictRecord) -> Iterator[str]:
    if explanation is None:
        return
    title = explanation.title or explanation.cause
    yield f"**{markdown(title)}** ({markdown(explanation.cause)})"
    yield markdown_text(explanation.summary)
    if explanation.evidence:
        yield f"Evidence ({markdown(explanation.where)}):"
        yield markdown_code(explanation.evidence)
    if explanation.remedy:
        yield f"**What to do:** {markdown_text(explanation.remedy)}"
    if explanation.secondary:
        yield f"Seen too: {markdown(', '.join(explanation.secondary))}"
    if answer.fingerprint:
        yield f"Fingerprint for the ledger: {markdown(answer.fingerprint)}"


def _checks(answer: VerdictRecord) -> str:
    """Return what was held against its limit as a table."""
    rows = [
        (
            check.outcome.value,
            check.name,
            f"{check.value} ({check.spread})" if check.spread else check.value,
            check.limit,
            check.share_of_ceiling,
            check.band,
            check.smallest_detectable,
            check.source,
        )
        for check in measured_of(answer)
    ]
    if not rows:
        return ""
    head = ("Verdict", "Metric", "Measured", "Promised", "Of ceiling", "Band",
            "Smallest detectable", "Source")  # fmt: skip
    lines = [head, ("---",) * len(head), *([markdown(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
