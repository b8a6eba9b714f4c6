"""Fetch, build and import the dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dreamvideo.errors import InputError
from dreamvideo.params import DataParams, Params
from flows.execution.progress import bar
from flows.tracking.provenance import dvc_repository

if TYPE_CHECKING:
    from dreamvideo.dataset.importing.entries import NewEntry

POINTERS = ("data.dvc", "models.dvc")


@dataclass(frozen=True)
class Pulled:
    """What a pull did for one .dvc file."""

    pointer: str
    fetched: int  # files, from the remote
    changed: bool  # whether the folder changed on this machine


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    data: DataParams
    subjects: int  # that the dataset holds now
    motions: int
    unread: tuple[Path, ...]  # what lay beside the files, and was passed over
    inverted: tuple[Path, ...]  # masks that cover the border of their picture, and not the middle


def pull() -> list[Pulled]:
    """Fetch what the .dvc files name from the default remote.

    Raises:
        InputError: no .dvc file here, or the remote does not have the files.
    """
    from dvc.exceptions import DvcException

    missing = [pointer for pointer in POINTERS if not Path(pointer).exists()]
    if missing:
        raise InputError(f"{missing[0]}: no such file; run from the repository's folder")
    done = []
    with dvc_repository(Path()) as repo, bar("fetching", len(POINTERS)) as line:
        for place, pointer in enumerate(POINTERS):
            line.at(place, pointer)
            try:
                stats = repo.pull(targets=[pointer])
            except DvcException as error:
                raise InputError(
                    f"{pointer}: cannot be pulled ({error}); delete local files that differ, or check the remote with "
                    "`dvc remote list`"
                ) from error
            counts = stats.get("stats", stats)
            changed = any(counts.get(what) for what in ("added", "modified", "deleted"))
            done.append(Pulled(pointer, counts.get("fetched", 0), changed))
    return done


def build(root: Path) -> None:
    """Render the pocket dataset."""
    from dreamvideo.pocket_world.build import build_dataset

    with bar("rendering") as line:
        build_dataset(root, lambda name, done, total: line.at(done, name, total=total))


def import_subject(params: Params, folder: Path, masks: Path | None, **fields: str) -> Imported:
    """Import a folder of images.

    Args:
        params: of the profile, whose dataset gets the subject.
        folder: of the images.
        masks: the folder of their masks, if there are any.
        **fields: the other fields of NewSubject.

    Raises:
        InputError: a name that is taken, a field or file that cannot be used; the dataset is as it was.
    """
    from dreamvideo.dataset.importing.files import Original, find_images, pair_masks

    images = find_images(folder)
    unread = images.others
    paired: tuple[Path, ...] = ()
    if masks:
        found = find_images(masks)
        paired = pair_masks(images.files, found.files)
        unread = tuple(path for path in unread if path.resolve() != masks.resolve()) + found.others
        unread += tuple(mask for mask in found.files if mask not in paired)
    originals = [tuple(Original(path, path.name) for path in paths) for paths in (images.files, paired)]
    from dreamvideo.dataset.importing.entries import NewSubject  # torch and more, which bad input need not wait for

    return _import(params.data, [NewSubject.of(images=originals[0], masks=originals[1], **fields)], unread)


def import_motion(
    params: Params, paths: Sequence[Path], fps: float | None, captions: Sequence[str], **fields: str
) -> Imported:
    """Import clips, folders of clips or folders of frames.

    Args:
        params: of the profile, whose dataset gets the motion.
        paths: of the clips.
        fps: frames per second of each clip; None takes what the files say.
        captions: one for all clips, or one a clip.
        **fields: the other fields of NewMotion.

    Raises:
        InputError: a name that is taken, a field or file that cannot be used; the dataset is as it was.
    """
    from dreamvideo.dataset.importing.files import Original, find_clips

    found = [find_clips(path) for path in paths]
    clips = tuple(Original(path, path.name) for clips in found for path in clips.files)
    unread = tuple(path for clips in found for path in clips.others)
    from dreamvideo.dataset.importing.entries import NewMotion

    return _import(params.data, [NewMotion.of(clips=clips, fps=fps, captions=tuple(captions), **fields)], unread)


def import_paper(params: Params, folders: dict[str, Path], masks: Path | None = None) -> Imported:
    """Import the paper's dataset.

    Args:
        params: of the profile, whose dataset gets the subjects and motions.
        folders: the local copy of each source.
        masks: the folder of masks, if there are any.

    Raises:
        InputError: files that are missing or not as published; the dataset is as it was.
    """
    from dreamvideo.dataset.importing.paper import paper_entries

    entries = paper_entries(folders, masks)
    taken = {original.path for entry in entries for original in entry.originals.values()}
    unread = sorted(set(masks.glob("*/*.png")) - taken) if masks else ()
    return _import(params.data, entries, unread)


def _import(data: DataParams, entries: Sequence["NewEntry"], unread: Sequence[Path]) -> Imported:
    from dreamvideo.dataset.importing.masks import looks_inverted
    from dreamvideo.dataset.importing.transaction import import_entries

    with bar("importing", len(entries)) as line:
        catalog = import_entries(data, entries, lambda name, done, total: line.at(done, name))
    masks = [mask for entry in entries if entry.what == "subject" for mask in catalog.subject(entry.name).masks]
    inverted = tuple(filter(looks_inverted, masks))
    return Imported(data, len(catalog.subjects), len(catalog.motions), tuple(unread), inverted)
