"""The command line. Heavy libraries are imported by the commands that need them, so that help comes at once."""

import multiprocessing
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dreamvideo.errors import InputError, masked

if TYPE_CHECKING:
    from dreamvideo.dataset.catalog import Catalog
    from dreamvideo.params import Params

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
customize_app = typer.Typer(no_args_is_help=True, help="Train the adapter of one subject or one motion.")
app.add_typer(customize_app, name="customize")

out = Console(highlight=False)
INTERRUPTED = 130  # the exit code of what Ctrl-C ends

Profile = Annotated[str | None, typer.Option(help="Section of params.yaml to use; the file names the default.")]
Method = Annotated[str | None, typer.Option(help="One of the profile's methods; params.yaml names the default.")]
Subjects = Annotated[str | None, typer.Option(help="How many ('3', the first three) or which ('dog,van').")]
Motions = Annotated[str | None, typer.Option(help="How many ('4') or which ('wave_up,square').")]
Prompts = Annotated[int | None, typer.Option(min=1, help="Prompts per combination.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Another seed gives other videos from the same adapters.")]


def profile_params(profile: str | None, method: str | None = None) -> "Params":
    """The parameters of a profile of ./params.yaml, with its own or another method."""
    from dreamvideo.params import load_params

    return load_params(profile=profile, method=method)


def catalog_of(params: "Params") -> "Catalog":
    """The catalog of a profile's data."""
    from dreamvideo.dataset.catalog import load_catalog

    return load_catalog(params.data.root)


@customize_app.command("subject", epilog="Example: dreamvideo customize subject cat")
def customize_subject(
    name: Annotated[str, typer.Argument(help="A subject of the catalog.")],
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Learn a subject from its images: textual identity, then identity adapter."""
    _customize("identity", name, profile_params(profile, method))


@customize_app.command("motion", epilog="Example: dreamvideo customize motion wave_right")
def customize_motion(
    name: Annotated[str, typer.Argument(help="A motion of the catalog.")],
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Learn a motion from its clips: motion adapter with appearance guidance."""
    _customize("motion", name, profile_params(profile, method))


def _customize(kind: str, name: str, params: "Params") -> None:
    catalog = catalog_of(params)
    {"identity": catalog.subject, "motion": catalog.motion}[kind](name)  # before what takes seconds to import
    from flows.customize import customize

    run_id, fresh = customize(params, kind, name)
    out.print(f"{'trained' if fresh else 'trained before'}: {kind} {name}, MLflow run {run_id}")


@app.command(
    epilog="Example: dreamvideo generate --subject cat --motion wave_right --prompt 'a * in the meadow' --out cat.mp4"
)
def generate(
    subject: Annotated[str, typer.Option(help="A subject of the catalog.")],
    motion: Annotated[str, typer.Option(help="A motion of the catalog.")],
    prompt: Annotated[str, typer.Option(help="The subject is *, as in 'a * jumping on the beach'.")],
    path: Annotated[Path, typer.Option("--out", help="The mp4 file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives another video.")] = 0,
    subject_weights: Annotated[Path | None, typer.Option(help="Use these instead of training the subject.")] = None,
    motion_weights: Annotated[Path | None, typer.Option(help="Use these instead of training the motion.")] = None,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Generate one video of a subject doing a motion; adapters that are missing are trained first."""
    params = profile_params(profile, method)
    from flows.request import check_generate

    check_generate(catalog_of(params), subject, motion, prompt, path)  # before what takes seconds to import
    from flows.generate import generate as run

    for warning in run(params, subject, motion, prompt, seed, path, subject_weights, motion_weights):
        out.print(f"[yellow]note:[/] {warning}")
    out.print(f"wrote {path}")


@app.command()
def pretrain(profile: Profile = None) -> None:
    """Train the profile's own base model and metric encoders, continuing from checkpoints."""
    params = profile_params(profile)
    from flows.pretrain import run_pretrain

    out.print(f"MLflow run {run_pretrain(params)}")


@app.command(epilog="Example: dreamvideo describe --profile paper")
def describe(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Describe the profile: base model, trainable parameters of every stage, and with --json all settings."""
    params = profile_params(profile, method)
    from flows.describe import describe as build
    from flows.describe import show

    description = build(params)
    if as_json:
        import json

        typer.echo(json.dumps(description, indent=2))
    else:
        show(description, out)


def main() -> None:
    """Entry point: bad input ends with one sentence and exit code 2; --debug shows the traceback instead."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    from flows import cli_benchmark, cli_data, cli_import, cli_model, cli_server  # noqa: F401 (they add their commands)

    try:
        code = app(arguments, prog_name="dreamvideo", standalone_mode=False)
        if code == INTERRUPTED:  # Typer makes it of Ctrl-C
            raise KeyboardInterrupt
        raise SystemExit(code or 0)
    except (InputError, typer.TyperException) as error:
        if debug:
            raise
        if sentence := _sentence(error):
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/] {_escaped(sentence)}")
        raise SystemExit(2) from None
    except (SystemExit, KeyboardInterrupt, Exception) as error:
        if debug or (isinstance(error, SystemExit) and not _interrupted(error)):
            raise
        if _interrupted(error):
            for worker in multiprocessing.active_children():
                worker.kill()  # it may not have heard; and its run, if it has one, is another's to take
            Console(stderr=True).print("stopped; what was finished is kept, and the same command goes on from there")
            raise SystemExit(INTERRUPTED) from None
        message = f"[red]failed:[/] {type(error).__name__}: {_escaped(str(error))} (--debug shows where)"
        Console(stderr=True, highlight=False, soft_wrap=True).print(message)
        raise SystemExit(1) from None


def _sentence(error: InputError | typer.TyperException) -> str:
    """What is wrong and what to do; nothing where a command was named without what it does, and its help was printed."""
    if isinstance(error, InputError):
        return str(error)
    complaint, context = " ".join(error.format_message().split()), getattr(error, "ctx", None)
    return f"{complaint.rstrip('.')}; see '{context.command_path} --help'" if complaint and context else complaint


def _interrupted(error: BaseException) -> bool:
    """Whether it was Ctrl-C: an embedded Prefect server ends of it, so that more fails."""
    return isinstance(error, KeyboardInterrupt) or (error.__context__ is not None and _interrupted(error.__context__))


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(masked(text))
