"""The ``dreamvideo import`` commands."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Profile, out, profile_params

app = typer.Typer(name="import", no_args_is_help=True, help="Convert weights that others published.")
authors_app = typer.Typer(no_args_is_help=True, help="Convert the files of DreamVideo's authors to safetensors.")
app.add_typer(authors_app, name="authors")

Checkpoint = Annotated[Path, typer.Argument(help="A .pth file of the authors. Only its plain tensors are read.")]
File = Annotated[Path, typer.Option("--out", help="The .safetensors file to write.")]


@authors_app.command()
def base(
    checkpoint: Checkpoint,
    like: Annotated[
        Path, typer.Option(help="ModelScopeT2V in the layout of diffusers: a folder, or hub:OWNER/NAME@COMMIT.")
    ],
    folder: Annotated[Path, typer.Option("--out", help="The folder to write.")],
) -> None:
    """Convert ModelScopeT2V's UNet from its original layout. The VAE and the text encoder come from --like."""
    from dreamvideo.authors.importing import import_base

    import_base(checkpoint, like, folder)
    out.print(f"wrote {folder}; set base_model.weights in params.yaml to it")


@authors_app.command()
def identity(
    checkpoint: Checkpoint,
    text: Annotated[Path, typer.Argument(help="The file with the subject's text embedding.")],
    path: File,
    profile: Profile = None,
) -> None:
    """Convert a subject: its identity adapter and its text embedding."""
    params = profile_params(profile)
    from dreamvideo.authors.importing import import_identity

    import_identity(params, checkpoint, text, path)
    out.print(f"wrote {path}; use it with `dreamvideo generate --subject-weights {path}`")


@authors_app.command()
def motion(checkpoint: Checkpoint, path: File, profile: Profile = None) -> None:
    """Convert a motion adapter."""
    params = profile_params(profile)
    from dreamvideo.authors.importing import import_motion

    import_motion(params, checkpoint, path)
    out.print(f"wrote {path}; use it with `dreamvideo generate --motion-weights {path}`")
