"""Names the plugin modules of the suite; everything they do is in ``fixtures/``."""

from __future__ import annotations

pytest_plugins = (
    "fixtures.options",
    "fixtures.cells",
    "fixtures.engine",
    "fixtures.record",
    "fixtures.performance",
    "fixtures.accuracy",
    "fixtures.capability",
    "fixtures.partners",
    "fixtures.scheduler",
    "fixtures.journal",
)
