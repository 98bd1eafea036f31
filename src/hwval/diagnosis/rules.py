"""The rules: what a cause looks like is data, the YAML files in ``rules/`` beside this file."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from enum import IntEnum
from functools import cache
from importlib import resources
from typing import Annotated
from typing import Any
from typing import Final
from typing import Literal
from typing import NamedTuple

import re2
import yaml
from pydantic import AfterValidator
from pydantic import BaseModel
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError
from pydantic import model_validator

from hwval.diagnosis.template import variables_of
from hwval.errors import UsageError

__all__ = ["Cause", "Exit", "Hit", "Kind", "Rule", "RuleBook", "Tier", "load_rules"]

Origin = Literal["log", "kernel", "runtime"]


class Tier(IntEnum):
    """How much a match says; of two matches the higher tier wins, then the earlier line."""

    HINT = 0  # explains only what nothing else explains, for example a warning before a crash
    SYMPTOM = 1  # often follows from something earlier: a collective that lost its peer
    CAUSE = 2  # names the cause
    DECISIVE = 3  # names the cause in a line that others echo or hide


def _tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _readable(value: Mapping[str, str]) -> Mapping[str, str]:
    for expression in value.values():
        try:
            ast.parse(expression, mode="eval")
        except SyntaxError:
            raise ValueError(f"not arithmetic: {expression}") from None
    return value


def _tier(value: Any) -> Any:
    return (
        Tier[value.upper()]
        if isinstance(value, str) and value.upper() in Tier.__members__
        else value
    )


_Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Frames(_Strict):
    """What the traceback of the line must or must not pass through.

    Attributes:
        any: At least one frame, written ``path:function``, matches one of these.
        last: The innermost frame, the one that raised, matches one of these.
        none: No frame matches any of these.
    """

    any: _Texts = ()
    last: _Texts = ()
    none: _Texts = ()


class Rule(_Strict):
    """One way in which a cause shows.

    Attributes:
        id: Name of the rule, unique; part of a failure's identity.
        cause: Root cause id, one of ``causes.yaml``.
        tier: How much a match says.
        origin: Where the line stands: the engine's ``log``, the ``kernel``'s, or what the
            container ``runtime`` said. A log is searched for what the runtime says, too.
        any: Patterns in RE2 syntax, one of which the line matches; named groups fill templates.
        requires: Patterns all of which the line must match besides.
        unless: Patterns that the line must not match.
        exception: Pattern for the class of the exception that the line belongs to.
        frames: Conditions on the traceback of the line.
        warnings: Whether a line of level *warning* counts in full; else it is a hint.
        infos: Whether a line of level *info* counts at all.
        foretold_by: Rule whose line, where it stands above, is the evidence in place of this one's:
            a warning that said why, long before its consequence.
        key: Groups whose values are part of the failure's identity.
        compute: Further values, by arithmetic over the groups.
        summary: One sentence with numbers; alternatives from the richest to one without fields.
        remedy: What to do, likewise.
        link: Documentation of the vendor or of vLLM.
    """

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    cause: str
    tier: Annotated[Tier, BeforeValidator(_tier)] = Tier.CAUSE
    origin: Origin = "log"
    any: _Texts = Field(min_length=1)
    requires: _Texts = ()
    unless: _Texts = ()
    exception: str | None = None
    frames: Frames = Frames()
    warnings: bool = False
    infos: bool = False
    foretold_by: str | None = None
    key: _Texts = ()
    compute: Annotated[Mapping[str, str], AfterValidator(_readable)] = Field(default_factory=dict)
    summary: _Texts = Field(min_length=1)
    remedy: _Texts = Field(min_length=1)
    link: str | None = Field(default=None, pattern=r"^https://\S+$")

    @model_validator(mode="after")
    def _ends_without_fields(self) -> Rule:
        for sentences in (self.summary, self.remedy):
            if variables_of(sentences[-1]):
                raise ValueError(
                    f"rule {self.id}: the last alternative has a field: {sentences[-1]}"
                )
        return self


class Cause(_Strict):
    """A root cause.

    Attributes:
        id: Its id.
        family: Decides between FAIL and INFRA, and groups failures in reports.
        title: The cause for people, a few words.
    """

    id: str
    family: str
    title: str


class Exit(_Strict):
    """What the end of a process says where its log says nothing.

    Attributes:
        id: Its name; part of a failure's identity.
        cause: Root cause id.
        codes: Exit codes that stand for it; none where the decision takes more than the code.
        summary: As of a rule; ``{exit_code}`` is known.
        remedy: As of a rule.
        link: As of a rule.
    """

    id: str
    cause: str
    codes: tuple[int, ...] = ()
    summary: _Texts
    remedy: _Texts
    link: str | None = None


class _Book(_Strict):
    causes: tuple[Cause, ...] = ()
    exits: tuple[Exit, ...] = ()
    rules: tuple[Rule, ...] = ()
    benign: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()
    deaths: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


class Kind(Enum):
    """What a matched line is to the diagnosis."""

    RULE = "rule"
    BENIGN = "benign"
    WRAPPER = "wrapper"
    DEATH = "death"
    END = "end"
    FACT = "fact"


class Hit(NamedTuple):
    """A pattern that a line matches.

    Attributes:
        kind: What the pattern is for.
        rule: Its rule, None for other kinds.
        groups: What its named groups hold, those that took part.
    """

    kind: Kind
    rule: Rule | None
    groups: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Everything that is known of causes.

    Attributes:
        causes: The root causes by id.
        exits: What the end of a process says, by id.
        rules: The rules, in the order of the files.
    """

    causes: Mapping[str, Cause]
    exits: Mapping[str, Exit]
    rules: tuple[Rule, ...]
    _patterns: tuple[tuple[Kind, Rule | None, Any], ...]
    _searched: Any

    def hits(self, *texts: str) -> list[Hit]:
        """Return a hit for every pattern that one of ``texts`` matches, by the first that does."""
        found: dict[int, str] = {}
        for text in texts:
            for number in self._searched.Match(text) or ():
                found.setdefault(number, text)
        return [self._hit(number, found[number]) for number in sorted(found)]

    def _hit(self, number: int, text: str) -> Hit:
        kind, rule, pattern = self._patterns[number]
        match = pattern.search(text) if pattern.groups else None
        groups = match.groupdict() if match is not None else {}
        return Hit(kind, rule, {name: value for name, value in groups.items() if value})


_FOLDER: Final = "rules"
_LISTS: Final = {
    Kind.BENIGN: "benign",
    Kind.WRAPPER: "wrappers",
    Kind.DEATH: "deaths",
    Kind.END: "ends",
    Kind.FACT: "facts",
}
"""Patterns of a book that belong to no rule, by the field that holds them."""


@cache
def load_rules() -> RuleBook:
    """Return the shipped rules.

    Raises:
        UsageError: A book is not as it should be; one line with its name and the first mistake.
    """
    folder = resources.files("hwval.diagnosis").joinpath(_FOLDER)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return _assemble([_read_book(name, folder.joinpath(name).read_text("utf-8")) for name in names])


def _read_book(name: str, text: str) -> _Book:
    try:
        return _Book.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{name}: {place}: {first['msg']}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: {' '.join(str(error).split())}") from None


def _assemble(books: list[_Book]) -> RuleBook:
    rules = tuple(rule for book in books for rule in book.rules)
    causes = {cause.id: cause for book in books for cause in book.causes}
    exits = {end.id: end for book in books for end in book.exits}
    members: list[Rule | Exit] = [*rules, *exits.values()]
    for named in members:
        if named.cause not in causes:
            raise UsageError(f"rule {named.id}: causes.yaml has no cause {named.cause}")
    patterns: list[tuple[Kind, Rule | None, str]] = [
        (Kind.RULE, rule, pattern) for rule in rules for pattern in rule.any
    ]
    patterns += [
        (kind, None, pattern)
        for book in books
        for kind, field in _LISTS.items()
        for pattern in getattr(book, field)
    ]
    options = re2.Options()
    options.log_errors = False
    searched = _searched(patterns, options)
    compiled = tuple(
        (kind, rule, re2.compile(pattern, options)) for kind, rule, pattern in patterns
    )
    return RuleBook(causes, exits, rules, compiled, searched)


def _searched(patterns: Sequence[tuple[Kind, Rule | None, str]], options: Any) -> Any:
    """Return the search for words that patterns cannot do without; few are left to try then."""
    searched = re2.Filter()
    for _, rule, pattern in patterns:
        try:
            searched.Add(pattern, options)
        except re2.error:
            where = f"rule {rule.id}" if rule else "a list of lines"
            raise UsageError(f"{where}: not a pattern in RE2 syntax: {pattern}") from None
    searched.Compile()
    return searched
