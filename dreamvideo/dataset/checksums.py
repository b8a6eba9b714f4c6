"""Compare the files of a dataset with the hashes in its catalog."""

from dreamvideo.dataset.catalog import PULL, Catalog, Motion, Subject
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file


def verify_files(catalog: Catalog) -> None:
    """Compare every file with its SHA-256.

    Raises:
        InputError: the first file that is missing, cannot be read or differs.
    """
    entries: list[Subject | Motion] = [*catalog.subjects.values(), *catalog.motions.values()]
    for entry in entries:
        verify_entry(catalog, entry)


def verify_entry(catalog: Catalog, entry: Subject | Motion) -> None:
    """Compare every file of one subject or motion with its SHA-256.

    Raises:
        InputError: the first file that is missing, cannot be read or differs.
    """
    what = f"{'subject' if isinstance(entry, Subject) else 'motion'} {entry.name!r}"
    for relative, expected in entry.sha256.items():
        path = catalog.root / relative
        if not path.is_file():
            raise InputError(f"{what}: file {relative} does not exist; {PULL}")
        try:
            found = sha256_file(path)
        except OSError as error:
            raise InputError(
                f"{what}: file {relative} cannot be read ({error.strerror}); mend its permissions"
            ) from error
        if found != expected:
            raise InputError(f"{what}: file {relative} differs from its SHA-256; delete it and {PULL}")
