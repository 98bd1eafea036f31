"""Are the answers as good as promised?"""

from __future__ import annotations
