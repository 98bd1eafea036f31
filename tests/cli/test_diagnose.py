"""`hwval diagnose`: any bytes are a log, every answer is told, mistakes are one line."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from tests.cli.calling import Call

HEALTHY = b"INFO 01-02 03:04:05 [api.py:1] Application startup complete.\n"
BROKEN = b"INFO 01-02 03:04:05 [a.py:1] loading\nERROR 01-02 03:04:05 [core.py:7] ValueError: odd\n"
INSPECT = [{"State": {"Status": "exited", "Running": False, "ExitCode": 137, "OOMKilled": True}}]
KEYS = ["file", "cause", "family", "evidence", "summary", "remedy", "fingerprint", "secondary"]


@pytest.fixture(autouse=True)
def logs(hwval: Call, tmp_path: Path) -> Path:
    """The folder that the command runs in, with a healthy and a broken log."""
    del hwval  # it changes into the folder
    (tmp_path / "good.log").write_bytes(HEALTHY)
    (tmp_path / "bad.log").write_bytes(BROKEN)
    (tmp_path / "empty.log").touch()
    (tmp_path / "inspect.json").write_text(json.dumps(INSPECT))
    return tmp_path


def standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def answers(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_programs_get_one_object_for_each_log(hwval: Call) -> None:
    """One line each, in the order of the arguments, with the keys of the contract."""
    code, out, err = hwval("diagnose", "--json", "bad.log", "good.log")
    bad, good = answers(out)

    assert (code, err) == (1, "")
    assert list(bad) == list(good) == KEYS
    assert (bad["file"], bad["cause"]) == ("bad.log", "unknown")
    assert bad["evidence"].keys() == {"line", "text"}
    assert bad["evidence"]["line"] == 2
    assert bad["evidence"]["text"].endswith("ValueError: odd")
    assert bad["fingerprint"].startswith("unknown:")
    assert (good["cause"], good["evidence"], good["fingerprint"]) == (None, None, None)


def test_people_get_five_lines_and_the_evidence_among_its_neighbours(hwval: Call) -> None:
    """Without a terminal: plain text, no escapes."""
    code, out, _ = hwval("diagnose", "bad.log")
    told, _, shown = out.partition("\n\n")

    assert code == 1
    assert len(told.splitlines()) == 5
    assert told.startswith("bad.log: ")
    assert "evidence   line 2\n" in told
    assert "fingerprint unknown:" in told
    assert shown.splitlines() == [
        "  1 | INFO 01-02 03:04:05 [a.py:1] loading",
        "> 2 | ERROR 01-02 03:04:05 [core.py:7] ValueError: odd",
    ]


def test_healthy_log_is_one_line_and_fine(hwval: Call) -> None:
    """Nothing to explain."""
    assert hwval("diagnose", "good.log") == (0, "good.log: healthy\n", "")


def test_several_logs_end_with_a_table(hwval: Call) -> None:
    """A row each; one that cannot be read hides no other."""
    code, out, err = hwval("diagnose", "bad.log", "none.log", "good.log")
    rows = [line.split() for line in out.splitlines()[-3:]]

    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("hwval: none.log: cannot be read: No such file")
    assert rows == [
        ["bad.log", "2", "unknown"],
        ["none.log", "could", "not", "be", "read"],
        ["good.log", "healthy"],
    ]


def test_standard_input_is_a_log(hwval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answer as for the file, the neighbours of the evidence included."""
    _, from_file, _ = hwval("diagnose", "bad.log")
    standard_input(monkeypatch, BROKEN)
    code, out, _ = hwval("diagnose", "-")

    assert (code, out) == (1, from_file.replace("bad.log", "standard input"))

    standard_input(monkeypatch, BROKEN)
    assert answers(hwval("diagnose", "--json", "-")[1])[0]["file"] == "-"


def test_pipe_is_read_once(hwval: Call, logs: Path) -> None:
    """`hwval diagnose <(docker logs c)`: a name that cannot be read a second time."""
    os.mkfifo(logs / "pipe")
    writer = threading.Thread(target=(logs / "pipe").write_bytes, args=(BROKEN,))
    writer.start()
    code, out, _ = hwval("diagnose", "pipe")
    writer.join()

    assert code == 1
    assert "> 2 | ERROR" in out


@pytest.mark.parametrize(
    "options",
    [("--oom-killed",), ("--inspect", "inspect.json"), ("--exit-code", "137")],
    ids=" ".join,
)
def test_kill_for_memory_is_known_from_outside(hwval: Call, options: tuple[str, ...]) -> None:
    """The log is empty; what the runtime knows decides, and there is no line to show."""
    code, out, _ = hwval("diagnose", "empty.log", *options, "--json")
    (answer,) = answers(out)

    assert (code, answer["cause"], answer["evidence"]) == (1, "host-oom-killed", None)
    assert "none in the log" in hwval("diagnose", "empty.log", *options)[1]


def test_what_is_said_wins_over_the_inspection(hwval: Call, logs: Path) -> None:
    """A person who gives an exit code knows better than the file."""
    (logs / "inspect.json").write_text(
        json.dumps({"State": {"Running": False, "Status": "exited", "ExitCode": 1}})
    )
    options = ("empty.log", "--inspect", "inspect.json", "--json")

    assert answers(hwval("diagnose", *options)[1])[0]["cause"] == "cause-not-in-log"
    said = answers(hwval("diagnose", *options, "--exit-code", "137")[1])
    assert said[0]["cause"] != "cause-not-in-log"


def test_kernel_log_is_read_from_its_end(
    hwval: Call, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last part in any encoding, as lines."""
    from hwval.cli.diagnose import _kernel_lines

    monkeypatch.setattr("hwval.cli.diagnose._MAX_BESIDES_BYTES", 11)
    (logs / "dmesg").write_bytes(b"0123456789\nlast \xff\nend\n")
    assert _kernel_lines("dmesg") == ("last �", "end")

    (logs / "dmesg").write_bytes("of Windows".encode("utf-16"))
    assert _kernel_lines("dmesg") == ("of Windows",)
    assert hwval("diagnose", "good.log", "--kernel-log", "dmesg")[0] == 0


def test_terminal_is_safe_and_secrets_stay_secret(
    hwval: Call, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escapes of a log do nothing; secrets of this process and logins are taken out."""
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef")
    (logs / "x.log").write_bytes(
        b"\x1b]0;title\x07\x1b[31mred\x1b[0m \x1bc\x08 \xe2\x80\xae hf_0123456789abcdef\n"
        b"ERROR 01-02 03:04:05 [c.py:7] ValueError: https://me:pw@host/ hf_0123456789abcdef\n"
    )
    _, out, _ = hwval("diagnose", "x.log")
    _, as_json, _ = hwval("diagnose", "x.log", "--json")

    assert r"  1 | red \x1bc\x08 \u202e [secret]" in out
    assert "https://[secret]@host/ [secret]" in out
    assert not any(secret in out + as_json for secret in ("\x1b", "me:pw", "hf_0123456789"))


def test_names_of_logs_are_safe_too(hwval: Call, logs: Path) -> None:
    """A file may be called anything."""
    name = "a\x1b[31m\udcff.log"
    (logs / name).write_bytes(BROKEN)

    assert hwval("diagnose", name)[1].startswith(r"a\x1b[31m\udcff.log: ")
    assert answers(hwval("diagnose", name, "--json")[1])[0]["file"] == name


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(hwval: Call, logs: Path, encoding: str, end: str) -> None:
    """Line and neighbours are the same however the log was written."""
    (logs / "x.log").write_bytes(BROKEN.decode().replace("\n", end).encode(encoding))
    code, out, _ = hwval("diagnose", "x.log")

    assert code == 1
    assert out.endswith("> 2 | ERROR 01-02 03:04:05 [core.py:7] ValueError: odd\n")


def test_line_of_50_megabytes(hwval: Call, logs: Path) -> None:
    """Its beginning or end may be evidence; it is shown cut."""
    (logs / "x.log").write_bytes(b"first\nValueError: odd " + b"x" * 50_000_000 + b"\nlast\n")
    code, out, _ = hwval("diagnose", "x.log")

    assert code == 1
    assert "> 2 | ValueError: odd xxx" in out
    assert "\n  3 | last\n" in out
    assert len(out) < 100_000


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=400),
        st.lists(
            st.sampled_from(
                [BROKEN, HEALTHY, b"\r", b"\n", b"\x1b[0m", b"\xff", b"\x00", b"Error: ", b"Killed"]
            ),
            max_size=20,
        ).map(b"".join),
    )
)
def test_any_bytes_are_a_log(hwval: Call, logs: Path, content: bytes) -> None:
    """An answer, and evidence on a line that the file has; for people the same line is marked."""
    (logs / "x.log").write_bytes(content)
    code, out, err = hwval("diagnose", "x.log", "--json")
    (answer,) = answers(out)
    shown = hwval("diagnose", "x.log")[1]

    assert (code, err) == (int(answer["cause"] is not None), "")
    if answer["evidence"]:
        assert re.search(rf"\n> +{answer['evidence']['line']} \| ", shown)


BAD_INSPECTIONS = {
    "list.json": "[]",
    "two.json": json.dumps(INSPECT * 2),
    "image.json": '[{"Id": "sha256:0"}]',
    "text.json": "no json",
    "deep.json": "[" * 100_000,
    "bytes.json": "\udcff",
}


@pytest.mark.parametrize(
    "arguments",
    [
        ("none.log",),
        ("",),
        ("bad.log", "--inspect", ""),
        (".",),
        ("bad.log", "--exit-code", "-9"),
        ("bad.log", "--exit-code", "99999999999999999999"),
        ("-", "-"),
        ("-", "--kernel-log", "-"),
        ("bad.log", "good.log", "--exit-code", "137"),
        ("bad.log", "good.log", "--oom-killed"),
        ("bad.log", "--kernel-log", "none"),
        ("bad.log", "--kernel-log", "."),
        ("bad.log", "--inspect", "none"),
        *(("bad.log", "--inspect", name) for name in BAD_INSPECTIONS),
    ],
    ids=" ".join,
)
def test_mistake_is_one_line(hwval: Call, logs: Path, arguments: tuple[str, ...]) -> None:
    """Exit status 2, what and where, nothing on standard output."""
    for name, content in BAD_INSPECTIONS.items():
        (logs / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    code, out, err = hwval("diagnose", *arguments)

    assert (code, out) == (2, "")
    assert err.startswith("hwval: ")
    assert err.count("\n") == 1


def test_closed_standard_input_is_told(hwval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a service without one."""
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = hwval("diagnose", "-")

    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("hwval: standard input is closed")


@pytest.mark.parametrize("arguments", [(), ("bad.log", "--exit-code", "x")], ids=" ".join)
def test_wrong_usage_is_exit_status_2(hwval: Call, arguments: tuple[str, ...]) -> None:
    """With a pointer to the help."""
    code, out, err = hwval("diagnose", *arguments)

    assert (code, out) == (2, "")
    assert "--help" in err


def test_forbidden_log_is_told(hwval: Call, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions are named; root, who may run the tests, reads everything."""

    def forbidden(path: Path, *_args: object, **_kwargs: object) -> object:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", forbidden)

    assert (logs / "bad.log").exists()
    assert "Permission denied" in hwval("diagnose", "bad.log")[2]


def test_reader_may_leave_and_terminal_may_lack_characters(logs: Path) -> None:
    """No traceback on a closed pipe, and none where the output is ASCII alone."""
    command = [str(Path(sys.executable).with_name("hwval")), "diagnose"]
    (logs / "x.log").write_bytes("ValueError: größer 漢\n".encode())
    done = subprocess.run(
        [*command, "x.log"], capture_output=True, check=False, cwd=logs,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    with subprocess.Popen(
        [*command, *["bad.log"] * 50], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=logs
    ) as left:
        assert left.stdout is not None
        assert left.stderr is not None
        left.stdout.close()
        complaint = left.stderr.read()

    assert (done.returncode, done.stderr) == (1, b"")
    assert rb"gr\xf6\xdfer \u6f22" in done.stdout
    assert complaint == b""
