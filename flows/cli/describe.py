"""The ``dreamvideo describe`` command."""

from typing import Annotated

import typer

from flows.cli.options import Method, Profile, out, profile_params

app = typer.Typer()


@app.command(epilog="Example: dreamvideo describe --profile paper")
def describe(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Show the base model and the trainable parameters of every stage. With --json, also show all settings."""
    params = profile_params(profile, method)
    from flows.planning.describe import describe as build
    from flows.planning.describe import show

    description = build(params)
    if as_json:
        import json

        typer.echo(json.dumps(description, indent=2))
    else:
        show(description, out)
