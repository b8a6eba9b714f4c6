"""The ``dreamvideo data`` commands."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from flows.cli import Profile, app, out, profile_params

data_app = typer.Typer(no_args_is_help=True, help="Fetch, check, show or rebuild the dataset.")
app.add_typer(data_app, name="data")


@data_app.command()
def pull(profile: Profile = None) -> None:
    """Fetch the dataset and the weights that this version of the repository names."""
    profile_params(profile)  # refuses an unknown profile; the pointers serve all of them
    from flows.data import pull as run

    for target, files in run().items():
        out.print(f"{target}: {files}")


@data_app.command()
def check(profile: Profile = None) -> None:
    """Hold the dataset against its expectations; the result goes to MLflow."""
    params = profile_params(profile)
    from flows.benchmark import validate_data

    out.print(f"the data is as expected; MLflow run {validate_data(params)}")


@data_app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="A subject or motion; everything if omitted.")] = None,
    profile: Profile = None,
) -> None:
    """List the subjects, motions and prompts, or show one of them."""
    params = profile_params(profile)
    from dreamvideo.dataset.catalog import load_catalog
    from flows.data import lookup

    catalog = load_catalog(params.data.root)
    if name:
        for field, value in lookup(catalog, name).items():
            out.print(Text.assemble((f"{field}: ", "bold"), str(value)))
        return
    subjects = Table("subject", "class word", "kind", "images", title=f"{len(catalog.subjects)} subjects")
    for subject in catalog.subjects.values():
        subjects.add_row(subject.name, subject.class_word, subject.kind, str(len(subject.images)))
    motions = Table("motion", "words", "clips", title=f"{len(catalog.motions)} motions")
    for motion in catalog.motions.values():
        motions.add_row(motion.name, motion.words, str(len(motion.clips)))
    prompts = Table("kind", "prompt", title=f"{len(catalog.prompts)} prompts")
    for prompt in catalog.prompts:
        prompts.add_row(prompt.kind, prompt.text)
    out.print(subjects, motions, prompts)


@data_app.command()
def build(profile: Profile = None) -> None:
    """Render the pocket dataset anew; equal code gives equal content."""
    params = profile_params(profile)
    from flows.data import build as run

    run(params.data.root)
    out.print(f"wrote {params.data.root}; `dvc add {params.data.root}` makes it a new version")
