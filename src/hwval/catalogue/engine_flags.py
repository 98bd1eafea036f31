"""Which flags and variables which release of vLLM knows, and what replaces those that are gone.

A command line that was written for one release is refused by another before any GPU is touched.
``matrices/catalogue/engine_flags.yaml`` holds what the sources of every release say, so that this
is known before anything is started.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from functools import lru_cache
from typing import Final
from typing import NamedTuple
from typing import Self

from pydantic import model_validator

from hwval.cell import ArgValue
from hwval.spelling import near_names
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = [
    "EngineFlags",
    "EngineFlagsSection",
    "FlagEffect",
    "FlagFinding",
    "load_engine_flags",
    "version_key",
]

_OWN_VARIABLE: Final = "VLLM_"
_STRICT: Final = "fail-on-environ-validation"
"""Flag that makes an error of a variable that nobody reads."""
_VALUE_IS_OPTIONAL: Final = frozenset({"hf-token"})
# In vLLM short forms have one dash (0.32.0, engine/arg_utils.py); a matrix gives every flag two.
_LONG_NAMES: Final = {
    "ac": "attention-config",
    "cc": "compilation-config",
    "dp": "data-parallel-size",
    "ep": "enable-expert-parallel",
    "pp": "pipeline-parallel-size",
    "q": "quantization",
    "sc": "speculative-config",
    "tp": "tensor-parallel-size",
}
# Parts of a JSON flag are flags of their own, --compilation-config.mode, from this release on.
_DOTTED_SINCE: Final = "0.9.0"


class FlagEffect(StrEnum):
    """What becomes of a flag or a variable."""

    REFUSED = "refused"
    """The engine ends before it touches the device."""
    DEPRECATED = "deprecated"
    """It still works, and a warning says that it will not for long."""
    IGNORED = "ignored"
    """It is taken and does nothing."""
    ABBREVIATED = "abbreviated"
    """It works as the beginning of one flag, until there is a second that begins so."""
    UNKNOWN = "unknown"
    """No release of vLLM's own knows it; a fork may."""


class FlagFinding(NamedTuple):
    """What is to be said of one flag or variable.

    Attributes:
        name: Flag without dashes, or variable.
        effect: What becomes of it.
        text: The same with releases and what to write instead.
        is_certain: False where the release is not known, was not looked at, or is of a fork.
    """

    name: str
    effect: FlagEffect
    text: str
    is_certain: bool


class _Form(StrEnum):
    VALUE = "value"
    BARE = "bare"
    TRUTH = "truth"
    SWITCH = "switch"


class FlagNote(YamlModel):
    """What replaces a flag or a variable, and from which release on it is not wanted any more."""

    instead: str = ""
    """What to write in its place; left out where there is nothing."""
    note: str = ""
    """Why, or what is different."""
    deprecated: str | None = None
    """First release that warns of it."""
    no_effect: str | None = None
    """First release in which it does nothing."""

    @property
    def advice(self) -> str:
        """What to do without it, in words."""
        what = f"write {self.instead}" if self.instead else "leave it out"
        return f"{what} ({self.note})" if self.note else what


class ReleaseChanges(YamlModel):
    """What one release changed; the first one says all that it had."""

    value: tuple[str, ...] = ()
    """Flags that take a value from here on."""
    bare: tuple[str, ...] = ()
    """Flags that take none and have no ``--no-`` form."""
    truth: tuple[str, ...] = ()
    """Flags that take True, False or nothing."""
    switch: tuple[str, ...] = ()
    """Flags that take none and have a ``--no-`` form."""
    gone: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    """Variables, ``VLLM_...``, that are read from here on."""
    variables_gone: tuple[str, ...] = ()

    @property
    def forms(self) -> dict[str, _Form]:
        """Flag -> how it is written, of those that changed."""
        return {name: form for form in _Form for name in getattr(self, form.value)}


class EngineFlagsSection(YamlModel):
    """Flags and variables of vLLM, release by release."""

    source: str
    flags: dict[str, FlagNote]
    """Flags that are gone, unwanted or without effect."""
    variables: dict[str, FlagNote]
    """The same of variables."""
    releases: dict[str, ReleaseChanges]
    """Release -> what it changed, oldest first."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        keys = [version_key(name) for name in self.releases]
        if not keys or keys != sorted(set(keys)):
            raise problem_at("releases", "releases stand oldest first, each once, at least one")
        flags: set[str] = set()
        for name, changes in self.releases.items():
            if unknown := sorted(set(changes.gone) - flags):
                raise problem_at("releases", f"{name}: {unknown[0]!r} is gone and never was there")
            flags |= changes.forms.keys()
        if never := sorted(self.flags.keys() - flags):
            raise problem_at("flags", f"{never[0]!r} is a flag of no release")
        return self


@dataclass(frozen=True, slots=True)
class _Release:
    name: str
    forms: Mapping[str, _Form]
    variables: frozenset[str]


class EngineFlags:
    """What every release knows.

    Args:
        section: As read from the catalogue.
    """

    def __init__(self, section: EngineFlagsSection) -> None:
        self._notes: Mapping[str, FlagNote] = {**section.flags, **section.variables}
        self._releases = tuple(_replayed(section))
        self._keys = [version_key(release.name) for release in self._releases]
        self._cached = lru_cache(maxsize=4096)(self._look)

    @property
    def newest(self) -> str:
        """The last release that was looked at."""
        return self._releases[-1].name

    def known(self, version: str) -> frozenset[str]:
        """Return the flags of a release that was looked at.

        Raises:
            KeyError: It was not.
        """
        by_name = {release.name: release for release in self._releases}
        return frozenset(by_name[version].forms)

    def findings(
        self,
        engine_args: tuple[tuple[str, ArgValue], ...],
        environment: tuple[tuple[str, str], ...],
        version: str | None,
        *,
        is_fork: bool = False,
    ) -> tuple[FlagFinding, ...]:
        """Return what is to be said of a command line, nothing if all is well.

        Args:
            engine_args: Flags without dashes, with their values, as in a cell.
            environment: Variables of the engine.
            version: Release of vLLM; None for an unknown one, which is held against the newest.
            is_fork: Whether somebody else's changes are in it, so that nothing is certain.
        """
        # True and 1 are one key to a cache, and two things on a command line.
        kinds = tuple(type(value) for _, value in engine_args)
        return self._cached(engine_args, environment, version, kinds, is_fork=is_fork)

    def _look(
        self,
        engine_args: tuple[tuple[str, ArgValue], ...],
        environment: tuple[tuple[str, str], ...],
        version: str | None,
        _kinds: tuple[type, ...],
        *,
        is_fork: bool,
    ) -> tuple[FlagFinding, ...]:
        around = self._around(version)
        is_strict = dict(engine_args).get(_STRICT) is True
        answers = [
            *([self._flag(*item, release) for release in around] for item in engine_args),
            *([self._variable(*item, release) for release in around] for item in environment),
        ]
        found = []
        for answer in answers:
            told = [finding for finding in answer if finding is not None]
            if not told:
                continue
            is_same = len(told) == len(around) and len({each.effect for each in told}) == 1
            doubt = self._doubt(version, is_fork=is_fork, is_same=is_same)
            text = "; ".join(filter(None, (told[0].text, doubt)))
            is_own = is_fork and self._since(told[0].name.partition(".")[0]) is None
            effect = FlagEffect.UNKNOWN if is_own else told[0].effect
            if is_strict and effect is FlagEffect.IGNORED and _OWN_VARIABLE in told[0].name:
                text, effect = f"{text}; --{_STRICT} makes that an error", FlagEffect.REFUSED
            found.append(FlagFinding(told[0].name, effect, text, is_certain=not doubt))
        return tuple(found)

    def _around(self, version: str | None) -> tuple[_Release, ...]:
        """Return the release of that name, or those before and after it."""
        if version is None:
            return self._releases[-1:]
        place = bisect_left(self._keys, version_key(version))
        is_exact = place < len(self._keys) and self._keys[place] == version_key(version)
        return self._releases[place if is_exact else max(place - 1, 0) : place + 1]

    def _doubt(self, version: str | None, *, is_fork: bool, is_same: bool) -> str:
        """Return why a finding is not certain, empty if it is."""
        if version is None:
            return "which vLLM this image holds is not known"
        if is_fork:
            return f"this image holds a fork of {version}, which may differ"
        if not self._keys[0] <= version_key(version) <= self._keys[-1]:
            return f"{version} was not looked at, only {self._releases[0].name} to {self.newest}"
        return "" if is_same else f"{version} itself was not looked at, and the next one differs"

    def _flag(self, name: str, value: ArgValue, release: _Release) -> FlagFinding | None:
        base, dot, _ = name.partition(".")
        if dot and version_key(release.name) < version_key(_DOTTED_SINCE):
            text = f"parts of a flag, as in --{name}, are understood from {_DOTTED_SINCE} on"
            return _finding(name, FlagEffect.REFUSED, f"{_refuses(release)} --{name}: {text}")
        form = release.forms.get(base)
        if form is None:
            return self._unknown(base, release)
        if value is False and form is _Form.VALUE and (begun := _switches(name, release)):
            text = f"--no-{name} is short for --no-{begun[0]}; leave it out"
            return _finding(name, FlagEffect.ABBREVIATED, text)
        if not dot and (wrong := _wrong_form(name, value, form)):
            return _finding(name, FlagEffect.REFUSED, f"{_refuses(release)} {wrong}")
        return self._unwanted(base, f"--{base}", release)

    def _unknown(self, name: str, release: _Release) -> FlagFinding | None:
        if name.removeprefix("no-") in release.forms and name.startswith("no-"):
            text = f"write {name.removeprefix('no-')}: false in place of {name}"
            return _finding(name, FlagEffect.ABBREVIATED, text)
        begun = [flag for flag in release.forms if flag.startswith(name)]
        if len(begun) == 1:
            text = f"--{name} is short for --{begun[0]}; write it in full, as the planner reads it"
            return _finding(name, FlagEffect.ABBREVIATED, text)
        what = f"{_refuses(release)} --{name}"
        if (gone := self._gone(name, release)) is not None:
            advice = self._notes.get(name, FlagNote()).advice
            return _finding(name, FlagEffect.REFUSED, f"{what}, gone since {gone}; {advice}")
        if (since := self._since(name)) is not None:
            return _finding(name, FlagEffect.REFUSED, f"{what}, which is there from {since} on")
        if (long := _LONG_NAMES.get(name)) in release.forms:
            text = f"{what}, as its short form has one dash; write {long}"
            return _finding(name, FlagEffect.REFUSED, text)
        near = near_names(name, release.forms)
        hint = f"; {near}" if near.startswith("did") else ""
        text = f"{what}, which no release up to {self.newest} knows{hint}"
        return _finding(name, FlagEffect.REFUSED, text)

    def _variable(self, name: str, value: ArgValue, release: _Release) -> FlagFinding | None:
        if name in release.variables or not name.startswith(_OWN_VARIABLE):
            return self._unwanted(name, name, release)
        advice = self._notes.get(name, FlagNote()).advice
        gone = self._gone(name, release)
        what = f"vLLM {release.name} does not read {name}={value}"
        if gone is not None:
            return _finding(name, FlagEffect.IGNORED, f"{what}, gone since {gone}; {advice}")
        if (since := self._since(name)) is not None:
            return _finding(name, FlagEffect.IGNORED, f"{what}, which is there from {since} on")
        near = near_names(name, release.variables)
        hint = f"; {near}" if near.startswith("did") else ""
        text = f"{what}, which no release up to {self.newest} knows{hint}"
        return _finding(name, FlagEffect.IGNORED, text)

    def _unwanted(self, name: str, written: str, release: _Release) -> FlagFinding | None:
        note = self._notes.get(name)
        if note is None:
            return None
        at = version_key(release.name)
        if note.no_effect is not None and at >= version_key(note.no_effect):
            text = f"{written} has no effect; {note.advice}"
            return _finding(name, FlagEffect.IGNORED, text)
        if note.deprecated is not None and at >= version_key(note.deprecated):
            text = f"{written} is deprecated since {note.deprecated}; {note.advice}"
            return _finding(name, FlagEffect.DEPRECATED, text)
        return None

    def _gone(self, name: str, release: _Release) -> str | None:
        """Return the release that a name was gone in, at or before this one."""
        before = self._releases[: self._releases.index(release) + 1]
        known = [place for place, other in enumerate(before) if _has(other, name)]
        return before[known[-1] + 1].name if known and known[-1] + 1 < len(before) else None

    def _since(self, name: str) -> str | None:
        return next((release.name for release in self._releases if _has(release, name)), None)


@cache
def load_engine_flags() -> EngineFlags:
    """Return what the shipped catalogue knows of vLLM's flags.

    Raises:
        MatrixError: The file is wrong.
    """
    from hwval.catalogue.facts import shipped_section

    return EngineFlags(shipped_section("engine_flags", lambda file: file.engine_flags))


def _replayed(section: EngineFlagsSection) -> Iterator[_Release]:
    forms: dict[str, _Form] = {}
    variables: frozenset[str] = frozenset()
    for name, changes in section.releases.items():
        forms = {flag: form for flag, form in forms.items() if flag not in changes.gone}
        forms |= changes.forms
        variables = (variables - set(changes.variables_gone)) | set(changes.variables)
        yield _Release(name, forms, variables)


def _switches(name: str, release: _Release) -> list[str]:
    """Return the flags with a ``--no-`` form that begin with ``name``."""
    return [
        flag
        for flag, form in release.forms.items()
        if form is _Form.SWITCH and flag.startswith(name)
    ]


def _has(release: _Release, name: str) -> bool:
    return name in release.forms or name in release.variables


def _refuses(release: _Release) -> str:
    return f"vLLM {release.name} refuses"


def _finding(name: str, effect: FlagEffect, text: str) -> FlagFinding:
    return FlagFinding(name, effect, text, is_certain=True)


def _wrong_form(name: str, value: ArgValue, form: _Form) -> str:
    """Return what is refused of how a flag is written, empty if nothing is."""
    if value is False and form is not _Form.SWITCH:
        instead = 'write "False" in quotes' if form is _Form.TRUTH else "leave it out"
        return f"--no-{name}; {instead}"
    if value is True and form is _Form.VALUE and name not in _VALUE_IS_OPTIONAL:
        return f"--{name} without a value; write one"
    if isinstance(value, bool) or form not in {_Form.BARE, _Form.SWITCH}:
        return ""
    is_off = str(value).lower() in {"false", "0", "no", "off"}
    if is_off and form is _Form.BARE:
        return f"--{name} {value}, which takes no value; leave it out"
    return f"--{name} {value}, which takes no value; write {name}: {str(not is_off).lower()}"


def version_key(version: str) -> tuple[int, ...]:
    """Return what releases of vLLM are ordered by: ``0.9.2`` before ``0.10``."""
    return tuple(int(part) for part in re.findall(r"\d+", version))
