"""Is what it generates sound, not only text?"""

from __future__ import annotations
