"""The ``dreamvideo data`` commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from dreamvideo.errors import InputError
from flows.cli.options import Profile, out, profile_params

if TYPE_CHECKING:
    from dreamvideo.dataset.catalog import Motion, Subject
    from flows.execution.dataset import Imported

app = typer.Typer(name="data", no_args_is_help=True, help="Fetch, check, show, extend or rebuild the dataset.")
import_app = typer.Typer(no_args_is_help=True, help="Add your own images and clips, or build the paper's dataset.")
app.add_typer(import_app, name="import")

Name = Annotated[str, typer.Argument(help="Its new name: lower-case letters, digits and _.")]
Licence = Annotated[str, typer.Option(help="The licence of the files: its SPDX identifier if it has one.")]
Source = Annotated[str, typer.Option(help="The origin of the files: an address, or 'photographed by me'.")]


@app.command()
def pull(profile: Profile = None) -> None:
    """Fetch the dataset and the weights of this version of the repository."""
    profile_params(profile)  # refuses an unknown profile; the pointers serve all of them
    from flows.execution.dataset import pull as run

    for done in run():
        here = "restored" if done.changed else "up to date"
        out.print(f"{done.pointer}: {f'{done.fetched} files fetched' if done.fetched else here}")


@app.command()
def check(profile: Profile = None) -> None:
    """Check the dataset against its expectations, and record the result in MLflow."""
    params = profile_params(profile)
    from flows.execution.data_gate import pass_gate

    out.print(f"the data is as expected; MLflow run {pass_gate(params)}")


@app.command(epilog="Example: dreamvideo data show cat")
def show(
    name: Annotated[
        str | None, typer.Argument(help="A subject or a motion. Without it, the command lists everything.")
    ] = None,
    profile: Profile = None,
) -> None:
    """List the subjects, motions and prompts, or show one of them."""
    params = profile_params(profile)
    from dreamvideo.dataset.catalog import load_catalog

    catalog = load_catalog(params.data.root)
    if name:
        for field, value in _shown(catalog.lookup(name)).items():
            out.print(Text.assemble((f"{field}: ", "bold"), value))
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


@app.command()
def build(profile: Profile = None) -> None:
    """Draw the pocket dataset again. The same code gives the same files."""
    params = profile_params(profile)
    if params.pretraining is None:
        raise InputError(
            f"profile {params.profile!r} has a dataset of real images and clips; build it with 'dreamvideo data import paper'"
        )
    from flows.execution.dataset import build as run

    run(params.data.root)
    out.print(f"wrote {params.data.root}; `dvc add {params.data.root}` makes a new version of it")


@import_app.command(
    epilog="Example: dreamvideo data import subject rex photos/rex --class-word dog --kind pet --licence CC-BY-4.0 "
    "--source 'photographed by me'"
)
def subject(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="A folder with 3 or more images.")],
    class_word: Annotated[str, typer.Option(help="A word that the base model knows, such as dog.")],
    kind: Annotated[str, typer.Option(help="pet or object.")],
    licence: Licence,
    source: Source,
    masks: Annotated[
        Path | None,
        typer.Option(help="A folder with a mask for each image, with the name of the image. White marks the subject."),
    ] = None,
    profile: Profile = None,
) -> None:
    """Import a pet or an object from images of any format and size."""
    params = profile_params(profile)
    from flows.execution.dataset import import_subject

    done = import_subject(
        params, folder, masks, name=name, class_word=class_word, kind=kind, licence=licence, source=source
    )
    _tell(f"subject {name}", done)


@import_app.command(
    epilog="Example: dreamvideo data import motion waving clips/waving.mp4 --words waving --caption 'a person is waving' "
    "--kind human --licence CC-BY-4.0 --source 'filmed by me'"
)
def motion(
    name: Name,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Clips, folders of clips, or folders of numbered frames.")
    ],
    words: Annotated[str, typer.Option(help="The words that replace {motion} in prompts, such as 'playing guitar'.")],
    captions: Annotated[
        list[str],
        typer.Option(
            "--caption",
            help="What a clip shows, such as 'a person is playing guitar'. Give one for all clips, or one a clip.",
        ),
    ],
    kind: Annotated[str, typer.Option(help="A word to group motions by, such as human.")],
    licence: Licence,
    source: Source,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second. Numbered frames need it; other files know it.")
    ] = None,
    profile: Profile = None,
) -> None:
    """Import a motion from clips of any format, size and rate."""
    params = profile_params(profile)
    from flows.execution.dataset import import_motion

    done = import_motion(
        params, paths, fps, captions, name=name, words=words, kind=kind, licence=licence, source=source
    )
    _tell(f"motion {name}", done)


@import_app.command()
def paper(
    subjects: Annotated[Path, typer.Option(help="The folder `dataset` of github.com/google/dreambooth.")],
    ucf101: Annotated[Path, typer.Option(help="UCF101's folder of classes, `UCF-101`.")],
    ucf_sports: Annotated[Path, typer.Option(help="UCF Sports' folder of classes, `ucf action`.")],
    davis: Annotated[Path, typer.Option(help="DAVIS' folder of sequences, such as `JPEGImages/480p`.")],
    masks: Annotated[
        Path | None,
        typer.Option(
            help="A folder with a mask SUBJECT/IMAGE.png for each image, such as dog/00.png. White marks the subject."
        ),
    ] = None,
    profile: Profile = None,
) -> None:
    """Build the paper's dataset of 20 subjects and 30 motions from files that you downloaded."""
    params = profile_params(profile)
    from flows.execution.dataset import import_paper

    folders = {"dreambooth": subjects, "ucf101": ucf101, "ucf_sports": ucf_sports, "davis": davis}
    _tell("the paper's subjects and motions", import_paper(params, folders, masks))


def _tell(what: str, done: "Imported") -> None:
    """Say what was imported, and what is left to do."""
    from dreamvideo.dataset.importing.files import listed

    data = done.data
    out.print(Text(f"imported {what} into {data.root}; `dreamvideo data check` checks the whole dataset"))
    if done.unread:
        out.print(Text.assemble(("note: ", "yellow"), f"not read: {listed(done.unread)}"))
    if done.inverted:
        note = f"these masks cover the border and not the middle, so they may be inverted: {listed(done.inverted)}"
        out.print(Text.assemble(("note: ", "yellow"), note))
    if (done.subjects, done.motions) != (data.subjects, data.motions):
        note = (
            f"the profile asks for {data.subjects} subjects and {data.motions} motions, {data.root} now holds "
            f"{done.subjects} and {done.motions}: once all are there, set data.subjects and data.motions in params.yaml "
            "to what it holds"
        )
        out.print(Text.assemble(("note: ", "yellow"), note))


def _shown(entry: "Subject | Motion") -> dict[str, str]:
    """The fields of an entry as text, each file on a line; of an original, its name and the start of its hash."""
    fields = {field: value for field, value in entry if field not in {"name", "sha256"} and value}
    lines = {field: list(map(str, value)) for field, value in fields.items() if isinstance(value, tuple)}
    if "clips" in fields:
        lines["clips"] = [f"{clip.path} | {clip.caption}" for clip in fields["clips"]]
    if "origin" in fields:
        lines["origin"] = [f"{path}: {of.file} (SHA-256 {of.sha256[:12]}...)" for path, of in fields["origin"].items()]
    listed = {field: "".join(f"\n  {line}" for line in those) for field, those in lines.items()}
    return {field: listed.get(field, str(value)) for field, value in fields.items()}
