"""Prints the JSON Schema of a catalogue file, for editors.

``python -m hwval.catalogue > matrices/catalogue.schema.json`` renews the one that is shipped.
"""

from __future__ import annotations

import json
import sys

from hwval.catalogue import catalogue_json_schema

__all__: list[str] = []

if __name__ == "__main__":
    sys.stdout.write(json.dumps(catalogue_json_schema(), indent=2) + "\n")
