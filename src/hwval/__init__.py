"""Hardware validation for vLLM: what works on which hardware, and why not."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
