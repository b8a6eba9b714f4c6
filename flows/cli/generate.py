"""The ``dreamvideo generate`` command."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Method, Profile, catalog_of, out, profile_params

app = typer.Typer()


@app.command(
    epilog="Example: dreamvideo generate --subject cat --motion wave_right --prompt 'a * in the meadow' --out cat.mp4"
)
def generate(
    subject: Annotated[str, typer.Option(help="A subject of the catalog.")],
    motion: Annotated[str, typer.Option(help="A motion of the catalog.")],
    prompt: Annotated[
        str, typer.Option(help="What the video shows. Write * for the subject, as in 'a * jumping on the beach'.")
    ],
    path: Annotated[Path, typer.Option("--out", help="The mp4 file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives another video.")] = 0,
    subject_weights: Annotated[
        Path | None, typer.Option(help="A weight file to use. Without it, the command trains the subject.")
    ] = None,
    motion_weights: Annotated[
        Path | None, typer.Option(help="A weight file to use. Without it, the command trains the motion.")
    ] = None,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Generate one video of a subject with a motion. The command first trains the adapters that are missing."""
    params = profile_params(profile, method)
    from flows.planning.selection import check_generate

    check_generate(catalog_of(params), subject, motion, prompt, path)  # before the slow imports
    from flows.execution.generate import generate as run
    from flows.registry.versions import register_adapter

    for warning in run(params, subject, motion, prompt, seed, path, subject_weights, motion_weights, register_adapter):
        out.print(f"[yellow]note:[/] {warning}")
    out.print(f"wrote {path}")
