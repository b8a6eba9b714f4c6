"""Fetch and build the dataset; look entries up."""

from dataclasses import asdict
from pathlib import Path

from dreamvideo.dataset.catalog import Catalog
from dreamvideo.errors import InputError, unknown_name
from flows.progress import bar
from flows.provenance import dvc_repository

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
    with dvc_repository(Path()) as repo:
        for pointer in POINTERS:
            try:
                stats = repo.pull(targets=[pointer])
            except DvcException as error:
                raise InputError(
                    f"{pointer}: cannot be pulled ({error}); delete local files that differ, or check the remote with "
                    "`dvc remote list`"
                ) from error
            fetched = stats.get("stats", stats).get("fetched", 0)
            done[pointer] = f"{fetched} files fetched" if fetched else "up to date"
    return done


def build(root: Path) -> None:
    """Render the pocket dataset."""
    from dreamvideo.dataset.pocket_world.build import build_dataset

    with bar("rendering") as line:
        build_dataset(root, lambda name, done, total: line.at(done, name, total=total))


def lookup(catalog: Catalog, name: str) -> dict[str, object]:
    """What the catalog says of a subject or a motion.

    Raises:
        InputError: neither is called so.
    """
    entry = catalog.subjects.get(name) or catalog.motions.get(name)
    if entry is None:
        raise unknown_name("subject or motion", name, [*catalog.subjects, *catalog.motions])
    shown = {field: value for field, value in asdict(entry).items() if field not in {"sha256", "name"}}
    return {field: _plain(value) for field, value in shown.items()}


def _plain(value: object) -> object:
    """Paths as strings, each file on a line."""
    if isinstance(value, tuple | list) and value and isinstance(value[0], Path | dict):
        return "".join(f"\n  {' | '.join(map(str, v.values())) if isinstance(v, dict) else v}" for v in value)
    return value
