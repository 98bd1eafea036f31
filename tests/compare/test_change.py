"""What a comparison tells programs."""

from __future__ import annotations

import json
from pathlib import Path

from hwval.compare import compare_runs
from tests.fakes.two_runs import measured_pair

RATE = "output_tokens_per_s"


def test_json_is_json(tmp_path: Path) -> None:
    """No infinity, words for the changes."""
    points = {"": {RATE: [1.0]}}
    base, new = measured_pair(tmp_path, points, points)
    data = json.loads(json.dumps(compare_runs(base, new).to_json(), allow_nan=False))

    assert data["worse"] is False
    assert data["cells"][0]["verdicts"][0]["change"] == "same"
