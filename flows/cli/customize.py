"""The ``dreamvideo customize`` commands."""

from typing import TYPE_CHECKING, Annotated

import typer

from dreamvideo.roles import Role
from flows.cli.options import Method, Profile, catalog_of, out, profile_params

if TYPE_CHECKING:
    from dreamvideo.params import Params

app = typer.Typer(name="customize", no_args_is_help=True, help="Train the adapter of one subject or one motion.")


@app.command("subject", epilog="Example: dreamvideo customize subject cat")
def customize_subject(
    name: Annotated[str, typer.Argument(help="A subject of the catalog.")],
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Learn a subject from its images: first a textual identity, then an identity adapter."""
    _customize(Role.SUBJECT, name, profile_params(profile, method))


@app.command("motion", epilog="Example: dreamvideo customize motion wave_right")
def customize_motion(
    name: Annotated[str, typer.Argument(help="A motion of the catalog.")],
    method: Method = None,
    profile: Profile = None,
) -> None:
    """Learn a motion from its clips: a motion adapter with appearance guidance."""
    _customize(Role.MOTION, name, profile_params(profile, method))


def _customize(role: Role, name: str, params: "Params") -> None:
    catalog_of(params).entry(role, name)  # refuses an unknown name before imports that take seconds
    from flows.execution.adapters import customize
    from flows.registry.versions import register_adapter

    run_id, fresh = customize(params, role, name, register_adapter)
    out.print(f"{'trained' if fresh else 'trained before'}: {role} {name}, MLflow run {run_id}")
