"""Every rule is data with a log of its own, and says what it saw in numbers."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any
from typing import NamedTuple

import pytest
import yaml

from hwval.diagnosis import Circumstances
from hwval.diagnosis import diagnose_file
from hwval.diagnosis import rules as rules_module
from hwval.diagnosis.rules import Rule
from hwval.diagnosis.rules import load_rules
from hwval.diagnosis.template import variables_of
from hwval.errors import UsageError

LOGS = Path(__file__).parent / "logs" / "rules"


class Case(NamedTuple):
    """A log that was written for a rule, and what is to be said of it."""

    rule: str
    log: Path
    expected: dict[str, Any]


def cases() -> list[Case]:
    found = []
    for book in sorted(LOGS.glob("*/expected.yaml")):
        for name, expected in yaml.safe_load(book.read_text("utf-8")).items():
            found.append(Case(name, book.parent / f"{name}.log", expected or {}))
    return found


CASES = cases()
RULES = load_rules().rules


def circumstances(expected: dict[str, Any]) -> Circumstances:
    return Circumstances(
        exit_code=expected.get("exit_code"),
        oom_killed=expected.get("oom_killed"),
        runtime_error=expected.get("runtime_error", ""),
        kernel_log=tuple(expected.get("kernel_log", "").splitlines()),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_rule_decides_its_log(case: Case) -> None:
    """The rule wins over the wrappers and misleading lines around it, and its numbers are told."""
    # A name may carry a number behind two hyphens: a further log of the same rule.
    rule = next(rule for rule in RULES if rule.id == case.rule.partition("--")[0])
    found = diagnose_file(case.log, circumstances(case.expected))

    assert (found.rule, found.cause) == (rule.id, rule.cause)
    if rule.origin == "log":
        assert found.evidence is not None
        raw = case.log.read_text("utf-8").split("\n")[found.evidence.line - 1]
        assert case.expected["evidence"] in raw
    assert case.expected.get("summary", "") in found.summary
    assert case.expected.get("remedy", "") in found.remedy


def test_every_rule_has_a_log() -> None:
    """A rule that nothing proves is a guess."""
    assert {rule.id for rule in RULES} - {case.rule for case in CASES} == set()


def test_every_log_is_expected() -> None:
    """No log lies about without a statement of what it shows."""
    assert set(LOGS.rglob("*.log")) == {case.log for case in CASES}


def test_ids_are_unique() -> None:
    """They are part of a failure's identity."""
    names = [rule.id for rule in RULES]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_is_sound(rule: Rule) -> None:
    """Its fields exist, its arithmetic can be read, its sentences end."""
    known = _groups(rule) | _groups(None) | set(rule.compute)
    for sentence in (*rule.summary, *rule.remedy):
        assert variables_of(sentence) <= known, sentence
    for sentence in (rule.summary[-1], rule.remedy[-1]):
        assert sentence.endswith("."), sentence
    assert set(rule.key) <= _groups(rule)
    for expression in rule.compute.values():
        names = {
            n.id for n in ast.walk(ast.parse(expression, mode="eval")) if isinstance(n, ast.Name)
        }
        assert names <= known | {"floor", "ceil", "min", "max", "largest_divisor"}, expression


def _groups(rule: Rule | None) -> set[str]:
    """Return the named groups of a rule's patterns, or of those that belong to none."""
    patterns = [pattern for _, owner, pattern in load_rules()._patterns if owner is rule]
    return {name for pattern in patterns for name in pattern.groupindex}


def test_families_are_told_apart() -> None:
    """Every cause has one, and every exit leads to a cause."""
    book = load_rules()

    assert all(cause.family and cause.title for cause in book.causes.values())
    assert {end.cause for end in book.exits.values()} <= set(book.causes)


GOOD = {
    "id": "a-b", "cause": "c", "any": ["x"], "summary": ["It is so."], "remedy": ["Mend it."],
}  # fmt: skip
CAUSES = [{"id": "c", "family": "lab", "title": "t"}]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"any": ["(?=x)"]}, "RE2 syntax"),
        ({"cause": "d"}, "no cause d"),
        ({"anny": ["x"]}, "rules.0.anny"),
        ({"id": "A B"}, "rules.0.id"),
        ({"summary": ["It is {so}."]}, "a field"),
        ({"compute": {"a": "1 +"}}, "rules.0"),
        ({"tier": "loud"}, "rules.0.tier"),
    ],
)
def test_mistake_in_a_book_is_one_line(change: dict[str, Any], word: str) -> None:
    """Who adds a rule is told where and what, without a traceback."""
    text = yaml.safe_dump({"causes": CAUSES, "rules": [GOOD | change]})

    with pytest.raises(UsageError, match=re.escape(word)) as raised:
        rules_module._assemble([rules_module._read_book("new.yaml", text)])
    assert "\n" not in str(raised.value)


def test_book_that_is_no_yaml_is_one_line() -> None:
    """With its name."""
    with pytest.raises(UsageError, match=r"new\.yaml: while parsing"):
        rules_module._read_book("new.yaml", "rules: [")
