"""The command line. Each command imports the heavy libraries that it needs, so that help appears at once."""

import importlib
import multiprocessing
import pkgutil
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from dreamvideo.errors import InputError, ProjectError, masked
from flows import cli

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    epilog="Add --debug to any command to see the traceback of an error.",
    pretty_exceptions_enable=False,
    help="Customise a video diffusion model to a subject and a motion, score every combination, and report.\n\n"
    "A first look: [bold]dreamvideo benchmark run --subjects 2 --motions 3[/] trains five adapters, generates six "
    "videos, and writes a report to open in a browser.",
)
INTERRUPTED = 130  # the exit code after Ctrl-C

# Every file of this folder that defines an `app` becomes a command group.
for _module in pkgutil.iter_modules(cli.__path__):
    if _module.name not in {"main", "options"}:
        app.add_typer(importlib.import_module(f"{cli.__name__}.{_module.name}").app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("dreamvideo"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Entry point. An error ends with one sentence and an exit code; with --debug it ends with its traceback.

    The exit code is 2 for a mistake of the user, 130 for Ctrl-C, and 1 for everything else.
    """
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        code = app(arguments, prog_name="dreamvideo", standalone_mode=False)
        if code == INTERRUPTED:  # Typer makes it of Ctrl-C
            raise KeyboardInterrupt
        raise SystemExit(code or 0)
    except (SystemExit, KeyboardInterrupt, Exception) as error:
        if debug or (isinstance(error, SystemExit) and not _interrupted(error)):
            raise
        code, sentence = _ending(error)
        if sentence:
            Console(stderr=True, highlight=False, soft_wrap=True).print(sentence)
        raise SystemExit(code) from None


def _ending(error: BaseException) -> tuple[int, str]:
    """The exit code of an error and what to print of it."""
    from flows.execution.failures import explained

    if isinstance(error, typer.TyperException):
        complaint = _complaint(error)
        return InputError.exit_code, f"[red]error:[/] {_escaped(complaint)}" if complaint else ""
    if isinstance(error, ProjectError):
        return error.exit_code, f"[red]error:[/] {_escaped(str(error))}"
    if _interrupted(error):
        for worker in multiprocessing.active_children():
            worker.kill()  # it may not have received the signal; another process takes over its run
        return INTERRUPTED, "stopped; finished results are kept, and the same command continues from them"
    if known := explained(error):
        return known.exit_code, f"[red]error:[/] {_escaped(str(known))}"
    return 1, f"[red]failed:[/] {type(error).__name__}: {_escaped(str(error))} (--debug shows where)"


def _complaint(error: typer.TyperException) -> str:
    """What Typer refuses, and where help is; empty where Typer has printed the help already."""
    complaint, context = " ".join(error.format_message().split()), getattr(error, "ctx", None)
    return f"{complaint.rstrip('.')}; see '{context.command_path} --help'" if complaint and context else complaint


def _interrupted(error: BaseException) -> bool:
    """Whether the cause was Ctrl-C. It also ends an embedded Prefect server, which raises further errors."""
    return isinstance(error, KeyboardInterrupt) or (error.__context__ is not None and _interrupted(error.__context__))


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(masked(text))
