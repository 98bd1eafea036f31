"""Loads the rules: what a cause looks like is data, ``rules.yaml`` beside this file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

__all__ = ["Rule", "load_rules"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which a cause shows.

    Attributes:
        cause: Root cause id.
        family: Family of the cause.
        patterns: A line that matches one of them is evidence; named groups fill the templates.
        summary: Template of the one-sentence summary, ``{group}`` for named groups.
        remedy: Template of the remedy.
        rank: Rules of a higher rank win over others, wherever their lines stand; generic signs
            have a low one.
    """

    cause: str
    family: str
    patterns: tuple[re.Pattern[str], ...]
    summary: str
    remedy: str
    rank: int = 0


@cache
def load_rules() -> tuple[Rule, ...]:
    """Return the shipped rules, in the order of the file."""
    text = resources.files("hwval.diagnosis").joinpath("rules.yaml").read_text("utf-8")
    document: Mapping[str, Any] = yaml.safe_load(text)
    return tuple(
        Rule(
            cause=rule["cause"],
            family=rule["family"],
            patterns=tuple(re.compile(pattern) for pattern in rule["patterns"]),
            summary=rule["summary"],
            remedy=rule["remedy"],
            rank=rule.get("rank", 0),
        )
        for rule in document["rules"]
    )
