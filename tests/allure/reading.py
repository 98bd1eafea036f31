"""Reads Allure results back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["results", "results_of"]


def results(folder: Path) -> list[dict[str, Any]]:
    """Return the results in ``folder``."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*-result.json"))]


def results_of(folder: Path, question: str) -> list[dict[str, Any]]:
    """Return the results of one question, of whatever cell."""
    return [one for one in results(folder) if one["fullName"].endswith(f"#{question}")]
