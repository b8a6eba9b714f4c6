"""The ``dreamvideo describe`` command."""

from typing import Annotated

import typer
from rich.table import Table

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

    description = build(params)
    if as_json:
        import json

        typer.echo(json.dumps(description, indent=2))
    else:
        _show(description)


def in_units(number: int) -> str:
    """A number of parameters the way the paper prints it, in units of 2^20; below one, in those of 2^10."""
    if number < 2**20:
        return f"{number // 2**10}K" if number >= 2**10 else "<1K"
    return str(number // 2**20)


def _show(description: dict) -> None:
    """Print a description."""
    method = description["method"]
    table = Table(
        "stage",
        "trainable parameters",
        "in 2^20, as the paper counts",
        title=f"{method['name']} on {description['base_model']['name']}",
    )
    for stage, number in method["trainable_parameters"].items():
        table.add_row(stage, f"{number:,}", in_units(number))
    out.print(f"profile [bold]{description['profile']}[/]")
    base = description["base_model"]
    out.print(f"denoiser: {base['parameters']['denoiser']:,} parameters, frozen")
    if base["configuration"] == "published":
        why = {"not fetched": "not fetched yet", "absent": "no weights there"}[base["weights"]]
        out.print(f"published configuration, {why}: {description['settings']['base_model']['weights']}", soft_wrap=True)
    out.print(table)
    out.print(f"all settings: dreamvideo describe --profile {description['profile']} --json")
