"""Prints the JSON Schema of a matrix: ``python -m hwval.matrix > matrices/matrix.schema.json``."""

from __future__ import annotations

import json
import sys

from hwval.matrix.schema import matrix_json_schema

__all__: list[str] = []

if __name__ == "__main__":
    sys.stdout.write(json.dumps(matrix_json_schema(), indent=2) + "\n")
