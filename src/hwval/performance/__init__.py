"""Is it as fast as promised?"""

from __future__ import annotations
