"""The ``hwval`` command: pytest runs, hwval explains.

Exit status: 0 fine, 1 a negative answer, 2 wrong usage or unreadable input (one line).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hwval import __version__
from hwval.cli import cells
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
    try:
        app(standalone_mode=True)
    except HwvalError as error:
        typer.echo(f"hwval: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"hwval: {where}{error.strerror or error}", err=True)
        sys.exit(2)
