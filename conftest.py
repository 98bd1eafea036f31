"""Names the plugin modules of the suite; everything they do is in ``fixtures/``."""

from __future__ import annotations

pytest_plugins = (
    "fixtures.options",
    "fixtures.cells",
    "fixtures.engine",
    "fixtures.inert",
    "fixtures.record",
    "fixtures.partners",
    "fixtures.capability",
    "fixtures.performance",
    "fixtures.bench",
    "fixtures.accuracy",
    "fixtures.scheduler",
    "fixtures.journal",
)
