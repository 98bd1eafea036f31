"""The ``hwval`` command: pytest runs, hwval explains.

Exit status: 0 fine, 1 a negative answer, 2 wrong usage or unreadable input (one line).
"""

from __future__ import annotations

import sys
from typing import Annotated
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

app = typer.Typer(
    name="hwval",
    help="Explains hardware validation runs of vLLM. The runs themselves: `pytest -m rocm`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
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
):
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
    try:
        sys.exit(app(prog_name="hwval", standalone_mode=False) or 0)
    except typer.TyperException as error:
        # Without arguments the help has been printed, and nothing is left to say.
        if message := error.format_message().strip():
            _refuse(f"{message.removesuffix('.')}; see `{_command_of(error)} --help`")
        sys.exit(2)
    except HwvalError as error:
        _refuse(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _refuse(f"{where}{error.strerror or error}")


def _command_of(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return "hwval" if context is None else str(context.command_path)


def _refuse(message: str) -> NoReturn:
    typer.echo(f"hwval: {message}", err=True)
    sys.exit(2)
