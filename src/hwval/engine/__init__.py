"""Engines: a vLLM in a container, in a virtual environment, or a server that already runs."""

from __future__ import annotations
