"""What a matrix may promise; `hwval.matrix` reads it."""

from __future__ import annotations

from hwval.yamlmodel import YamlModel

__all__ = ["GenerateSection"]


class GenerateSection(YamlModel):
    """Is what it generates sound, not only text?"""
