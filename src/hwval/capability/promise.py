"""What a matrix may promise; `hwval.matrix` reads it."""

from __future__ import annotations

from hwval.yamlmodel import YamlModel

__all__ = ["CapabilitiesSection"]


class CapabilitiesSection(YamlModel):
    """Can it do what image and model promise?"""
