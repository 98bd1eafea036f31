"""Can it do what image and model promise? What is asked for each capability, and what is right.

Pictures and sounds are made on the spot. What is asked of whom is decided in ``asked``; requests go
out by ``skills``; the other modules are pure.
"""

from __future__ import annotations
