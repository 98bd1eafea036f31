"""Which architectures vLLM names: of a config.json with another one nothing is certain."""

from __future__ import annotations

from functools import cache

from hwval.yamlmodel import YamlModel

__all__ = ["Architectures", "ArchitecturesSection", "load_architectures"]


class ArchitecturesSection(YamlModel):
    """Architectures without their endings."""

    source: str
    endings: tuple[str, ...]
    """Endings that vLLM takes for one another."""
    names: tuple[str, ...]


class Architectures:
    """The architectures that vLLM names.

    Args:
        section: As read from the catalogue.
    """

    def __init__(self, section: ArchitecturesSection) -> None:
        self._endings = section.endings
        self._names = frozenset(section.names)

    def __contains__(self, name: object) -> bool:
        """Return whether an entry of ``architectures`` in a config.json is known."""
        if not isinstance(name, str):
            return False
        return name in self._names or any(
            name.removesuffix(ending) in self._names
            for ending in self._endings
            if name.endswith(ending)
        )


@cache
def load_architectures() -> Architectures:
    """Return what the shipped catalogue knows of vLLM's architectures.

    Raises:
        MatrixError: The file is wrong.
    """
    from hwval.catalogue.facts import shipped_section

    return Architectures(shipped_section("architectures", lambda file: file.architectures))
