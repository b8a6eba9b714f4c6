"""Files that are complete or absent, and their content hashes."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dreamvideo.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays, because encoders choose their format by it.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(root: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``root`` that takes its place only if the block succeeds."""
    root = root.resolve()
    temporary, old = (root.with_name(f".{root.name}.{os.getpid()}.{word}") for word in ("new", "old"))
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if root.exists():
            root.rename(old)
        try:
            temporary.rename(root)
        except OSError:
            if old.exists():
                old.rename(root)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def content_key(content: object) -> str:
    """SHA-256 of a JSON-serialisable value: equal content gives an equal key, in any order of its fields."""
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def seed_from(key: str, purpose: str) -> int:
    """A 63-bit random seed. It depends only on a content key and a purpose, never on order or worker."""
    return int.from_bytes(hashlib.sha256(f"{purpose}:{key}".encode()).digest()[:8]) >> 1


def weights_key(*folders: Path, also: Sequence[str] = ()) -> str:
    """Hash of the weight files in one or several folders, read without loading any.

    Args:
        folders: of weights, safetensors at any depth.
        also: patterns of other files that count.

    Raises:
        InputError: a folder is absent or empty.
    """
    keys = [content_key(_digests(folder, also)) for folder in folders]
    return keys[0] if len(keys) == 1 else content_key(keys)


def _digests(folder: Path, also: Sequence[str]) -> dict[str, str]:
    # A name with a leading dot belongs to a file that is still being written.
    weights = {path for path in folder.glob("**/*.safetensors") if not path.name.startswith(".")}
    if not weights:
        raise InputError(f"{folder}: no weights there; run `dreamvideo data pull` to fetch them")
    files = weights.union(*(folder.glob(pattern) for pattern in also))
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(files)}
