"""The ``dreamvideo pretrain`` command."""

import typer

from flows.cli.options import Profile, out, profile_params

app = typer.Typer()


@app.command()
def pretrain(profile: Profile = None) -> None:
    """Train the profile's own base model and metric encoders. The command continues from checkpoints."""
    params = profile_params(profile)
    from flows.pretrain import run_pretrain

    out.print(f"MLflow run {run_pretrain(params)}")
