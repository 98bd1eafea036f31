"""The ``hwval`` command: pytest runs, hwval explains.

Exit status: 0 fine, 1 a negative answer, 2 wrong usage or unreadable input (one line).
"""

from __future__ import annotations

import re
import sys
from io import TextIOWrapper
from typing import Annotated
from typing import Final
from typing import NoReturn

import typer

from hwval import __version__
from hwval.cli import cells
from hwval.cli import ci_matrix
from hwval.cli import compare
from hwval.cli import diagnose
from hwval.cli import host
from hwval.cli import load
from hwval.cli import runs
from hwval.errors import HwvalError

__all__ = ["app", "main"]

# What a shell makes of a variable that is not set: it would stand for the folder one is in.
_EMPTY: Final = re.compile(r"(--[a-z-]+=)?")

_EXTRA: Final = "unexpected extra argument"
_YAML: Final = (".yaml", ".yml")
_PARSERS_WORDS: Final = {
    r"Input should be a valid number\b.*": "a number",
    r"Input should be a valid integer\b.*": "a whole number",
}
"""What the parser of options says of numbers, in words that nobody has to look up."""

app = typer.Typer(
    name="hwval",
    help="Explains hardware validation runs of vLLM. The runs themselves: `pytest -m rocm`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_COMMANDS: Final = (
    host.probe,
    host.doctor,
    cells.plan,
    cells.show,
    diagnose.diagnose,
    load.load,
    runs.report,
    compare.compare,
    ci_matrix.ci_matrix,
    runs.reap,
)
for _command in _COMMANDS:
    app.command()(_command)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version when asked."""
    if show:
        typer.echo(f"hwval {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; a person's mistake is one line and exit status 2."""
    if sys.stdout is None:  # the caller has closed it
        _refuse("standard output is closed, and there is nowhere to answer")
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that lacks a character of a log or a matrix still gets the answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    for argument in filter(_EMPTY.fullmatch, sys.argv[1:]):
        _refuse(f"{argument or 'an argument'} is empty; is a variable of the shell not set?")
    try:
        sys.exit(app(prog_name="hwval", standalone_mode=False) or 0)
    except typer.TyperException as error:
        # Without arguments the help has been printed, and nothing is left to say.
        if message := _in_plain_words(error):
            _refuse(f"{message.removesuffix('.')}; see `{_command_of(error)} --help`")
        sys.exit(2)
    except HwvalError as error:
        _refuse(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _refuse(f"{where}{error.strerror or error}")


def _in_plain_words(error: typer.TyperException) -> str:
    """Return what is wrong, and what was meant where that is plain."""
    message = error.format_message().strip()
    help_text = getattr(getattr(error, "param", None), "help", None) or ""
    meaning = help_text.partition(". ")[0].rstrip(".")
    for words, expected in _PARSERS_WORDS.items():
        plain = f"expected {expected} ({meaning})" if meaning else f"expected {expected}"
        message = re.sub(words, plain, message)
    if _EXTRA not in message or not _takes_matrices(error):
        return message
    files = [one for one in sys.argv[2:] if one.endswith(_YAML) and not one.startswith("-")]
    matrices = " ".join(f"--matrix={file}" for file in files)
    return f"{message}; write {matrices}" if files else message


def _takes_matrices(error: typer.TyperException) -> bool:
    command = getattr(getattr(error, "ctx", None), "command", None)
    return any("--matrix" in parameter.opts for parameter in getattr(command, "params", ()))


def _command_of(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    if context is not None:
        return str(context.command_path)
    # An option without its value is refused before anybody knows whose it is.
    names = {command.__name__.replace("_", "-") for command in _COMMANDS}
    return " ".join(["hwval", *(name for name in sys.argv[1:2] if name in names)])


def _refuse(message: str) -> NoReturn:
    typer.echo(f"hwval: {message}", err=True)
    sys.exit(2)
