"""Is what it generates sound, not only text? Detectors of garbage that loads without a word.

All of it is pure: texts and log probabilities come in, findings go out. Which detectors see what,
and which are blind for random weights, stands in ``docs/quality.md`` with figures.
"""

from __future__ import annotations
