"""What a matrix may promise; `hwval.matrix` reads it."""

from __future__ import annotations

from hwval.yamlmodel import YamlModel

__all__ = ["PerformanceSection"]


class PerformanceSection(YamlModel):
    """Is it as fast as promised?"""
