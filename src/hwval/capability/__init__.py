"""Can it do what image and model promise?"""

from __future__ import annotations
