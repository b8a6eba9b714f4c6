"""Fetch, build and import the dataset; look entries up."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dreamvideo.dataset.catalog import Catalog
from dreamvideo.errors import InputError, unknown_name
from dreamvideo.params import Params
from flows.execution.progress import bar
from flows.tracking.provenance import dvc_repository

if TYPE_CHECKING:
    from dreamvideo.dataset.importing.entries import NewEntry

POINTERS = ("data.dvc", "models.dvc")


def pull() -> dict[str, str]:
    """Fetch what the .dvc files name from the default remote; returns what happened, by file.

    Raises:
        InputError: no .dvc file here, or the remote does not have the files.
    """
    from dvc.exceptions import DvcException

    missing = [pointer for pointer in POINTERS if not Path(pointer).exists()]
    if missing:
        raise InputError(f"{missing[0]}: no such file; run from the repository's folder")
    done = {}
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
            fetched, changed = (
                counts.get("fetched", 0),
                any(counts.get(what) for what in ("added", "modified", "deleted")),
            )
            done[pointer] = f"{fetched} files fetched" if fetched else "restored" if changed else "up to date"
    return done


def build(root: Path) -> None:
    """Render the pocket dataset."""
    from dreamvideo.pocket_world.build import build_dataset

    with bar("rendering") as line:
        build_dataset(root, lambda name, done, total: line.at(done, name, total=total))


def import_subject(params: Params, folder: Path, masks: Path | None, **fields: str) -> list[str]:
    """Import a folder of images, with a folder of masks; ``fields`` are those of NewSubject. Returns what to tell.

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

    return _import(params, [NewSubject(images=originals[0], masks=originals[1], **fields)], unread)


def import_motion(
    params: Params, paths: Sequence[Path], fps: float | None, captions: Sequence[str], **fields: str
) -> list[str]:
    """Import clips, folders of clips or folders of frames; ``fields`` are those of NewMotion. Returns what to tell.

    Raises:
        InputError: a name that is taken, a field or file that cannot be used; the dataset is as it was.
    """
    from dreamvideo.dataset.importing.files import Original, find_clips

    found = [find_clips(path) for path in paths]
    clips = tuple(Original(path, path.name) for clips in found for path in clips.files)
    unread = tuple(path for clips in found for path in clips.others)
    from dreamvideo.dataset.importing.entries import NewMotion

    return _import(params, [NewMotion(clips=clips, fps=fps, captions=tuple(captions), **fields)], unread)


def import_paper(params: Params, folders: dict[str, Path], masks: Path | None = None) -> list[str]:
    """Import the paper's dataset from the local copies of its sources, with a folder of masks. Returns what to tell.

    Raises:
        InputError: files that are missing or not as published; the dataset is as it was.
    """
    from dreamvideo.dataset.importing.paper import paper_entries

    entries = paper_entries(folders, masks)
    taken = {original.path for entry in entries for original in entry.originals.values()}
    unread = sorted(set(masks.glob("*/*.png")) - taken) if masks else ()
    return _import(params, entries, unread)


def _import(params: Params, entries: Sequence["NewEntry"], unread: Sequence[Path] = ()) -> list[str]:
    from dreamvideo.dataset.importing.files import listed
    from dreamvideo.dataset.importing.transaction import import_entries

    data = params.data
    with bar("importing", len(entries)) as line:
        catalog = import_entries(data, entries, lambda name, done, total: line.at(done, name))
    notes = [f"not read: {listed(unread)}"] if unread else []
    held = len(catalog.subjects), len(catalog.motions)
    if held != (data.subjects, data.motions):
        notes.append(
            f"profile {params.profile} asks for {data.subjects} subjects and {data.motions} motions, {data.root} now holds "
            f"{held[0]} and {held[1]}: once all are there, set data.subjects and data.motions in params.yaml to what it holds"
        )
    return notes


def lookup(catalog: Catalog, name: str) -> dict[str, object]:
    """What the catalog says of a subject or a motion.

    Raises:
        InputError: neither is called so.
    """
    entry = catalog.subjects.get(name) or catalog.motions.get(name)
    if entry is None:
        raise unknown_name("subject or motion", name, [*catalog.subjects, *catalog.motions])
    shown = {field: value for field, value in asdict(entry).items() if field not in {"sha256", "name"} and value}
    return {field: _plain(value) for field, value in shown.items()}


def _plain(value: object) -> object:
    """Paths as strings, each file on a line; of an original, its name and the start of its hash."""
    if isinstance(value, dict) and all(isinstance(v, dict) for v in value.values()):
        return "".join(f"\n  {path}: {v['file']} (SHA-256 {v['sha256'][:12]}...)" for path, v in value.items())
    if isinstance(value, tuple | list) and value and isinstance(value[0], Path | dict):
        return "".join(f"\n  {' | '.join(map(str, v.values())) if isinstance(v, dict) else v}" for v in value)
    return value
