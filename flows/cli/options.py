"""Options and first steps that several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from dreamvideo.dataset.catalog import Catalog
    from dreamvideo.params import Params

out = Console(highlight=False)

Profile = Annotated[str | None, typer.Option(help="A profile of params.yaml. The file names the default.")]
Method = Annotated[str | None, typer.Option(help="A method of the profile. params.yaml names the default.")]
Subjects = Annotated[str | None, typer.Option(help="A number ('3': the first three) or names ('dog,van').")]
Motions = Annotated[str | None, typer.Option(help="A number ('4': the first four) or names ('wave_up,square').")]
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
