"""Import subjects and motions into a dataset: normalised, examined by the data gate, and wholly or not at all."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from dreamvideo.dataset.catalog import CATALOG_NAME, Catalog, add_entries, load_catalog
from dreamvideo.dataset.importing.entries import NewEntry
from dreamvideo.dataset.lookalikes import lookalikes
from dreamvideo.errors import InputError
from dreamvideo.params import DataParams

Progress = Callable[[str, int, int], None]


def import_entries(data: DataParams, entries: Sequence[NewEntry], on_progress: Progress | None = None) -> Catalog:
    """Add subjects and motions to the dataset, all of them or none.

    Files are made in a folder of their own and examined there; then they are moved in, and last of all the catalog is
    replaced: whatever stops this before leaves the dataset as it was.

    Args:
        data: where the dataset is, which is made if it is not there, and what the gate asks of each entry; its counts
            are left aside.
        entries: what to add.
        on_progress: called with the name of what was made, how many are done, and how many there are.

    Returns:
        The whole dataset's catalog.

    Raises:
        InputError: a name that is taken, or a file that cannot be used.
    """
    root = data.root
    _refuse_taken(root, entries)
    added: dict[str, dict[str, dict]] = {"subjects": {}, "motions": {}}
    with _staging(root) as staging:
        for done, entry in enumerate(entries, start=1):
            added[entry.section][entry.name] = entry.write(staging, data)
            if on_progress:
                on_progress(entry.name, done, len(entries))
        add_entries(staging, added)
        new = _examined(staging, entries, data)
        with _locked(root):  # another import may have finished since
            _refuse_taken(root, entries)
            _refuse_images_twice(root, new, entries)
            _move_in(root, staging, added)
    return load_catalog(root)


def _refuse_taken(root: Path, entries: Sequence[NewEntry]) -> None:
    """Refuse a name that the catalog has, or whose folder is there."""
    known = _catalog_of(root)
    for entry in entries:
        folder = root / entry.section / entry.name
        if known and entry.name in getattr(known, entry.section):
            raise InputError(
                f"{entry.what} {entry.name!r} is in {root / CATALOG_NAME} already; choose another name, "
                f"or delete its entry there and the folder {folder}"
            )
        if folder.exists():
            raise InputError(
                f"folder {folder} exists, but {CATALOG_NAME} has no {entry.what} {entry.name!r}; "
                "move it away, or delete it if a stopped import left it"
            )


def _examined(staging: Path, entries: Sequence[NewEntry], data: DataParams) -> Catalog:
    """The catalog of what is new, after the data gate; a problem is told with the user's own file."""
    from dreamvideo.dataset.validation.checks import Requirements  # seconds, which bad input need not wait for
    from dreamvideo.dataset.validation.expectations import validate

    catalog = load_catalog(staging)
    problems = validate(catalog, Requirements(None, None, data.num_frames, data.fps, data.image_size)).problems
    if problems:
        first = problems[0]
        for entry in entries:
            for path, original in entry.originals.items():
                first = first.replace(path, str(original.path))
        raise InputError(first + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""))
    return catalog


def _refuse_images_twice(root: Path, new: Catalog, entries: Sequence[NewEntry]) -> None:
    """Refuse a photo that another subject has, as the gate would for the whole dataset."""
    known = _catalog_of(root)
    if not known or not known.subjects:
        return
    from dreamvideo.dataset.validation.probing import image_rows  # seconds, which bad input need not wait for

    originals = {path: original for entry in entries for path, original in entry.originals.items()}
    rows = image_rows(known.subjects.values(), root) + image_rows(new.subjects.values(), new.root)
    found = lookalikes([row["owner"] for row in rows], [row["look"] for row in rows])
    for row, other in zip(rows, found, strict=True):
        if row["file"] in originals and other is not None:
            raise InputError(
                f"image {originals[row['file']].path} is in subject {rows[other]['owner']!r} already, "
                "must be in one subject only; leave it out"
            )


def _move_in(root: Path, staging: Path, added: dict[str, dict[str, dict]]) -> None:
    """Move the new folders to their places and name them in the catalog; undone if it fails."""
    moved: list[Path] = []
    try:
        for section, names in added.items():
            for name in names:
                target = root / section / name
                target.parent.mkdir(exist_ok=True)
                (staging / section / name).rename(target)
                moved.append(target)
        add_entries(root, added)
    except BaseException:
        known = _catalog_of(root)
        for folder in moved:
            if not known or folder.name not in getattr(known, folder.parent.name):
                shutil.rmtree(folder)
        raise


def _catalog_of(root: Path) -> Catalog | None:
    return load_catalog(root) if (root / CATALOG_NAME).exists() else None


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """A hidden folder within root, so that moving out of it is only renaming; a root that was made for it goes again."""
    made = not root.exists()
    staging = root / f".import.{uuid.uuid4().hex[:8]}"
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging)
        if made:
            with suppress(OSError):  # not empty: the import succeeded
                root.rmdir()


def _locked(root: Path) -> FileLock:
    """Keep other imports into the same dataset out. The lock lies beside the dataset: a file inside would be a part of it."""
    root = root.resolve()
    return FileLock(root.with_name(f".{root.name}.lock"))
