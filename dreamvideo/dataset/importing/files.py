"""Find the files to import, and refuse what leads out of the folder that they are said to be in."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamvideo.dataset.rules import CLIP_SUFFIXES, IMAGE_SUFFIXES
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file


@dataclass(frozen=True)
class Original:
    """What one file of the dataset is made from: a file, or a folder of numbered frames."""

    path: Path
    name: str  # what its publisher calls it

    def sha256(self) -> str:
        """The hash of its bytes; of frames, of all their bytes one after the other."""
        if self.path.is_file():
            return sha256_file(self.path)
        digest = hashlib.sha256()
        for frame in find(self.path, IMAGE_SUFFIXES).files:
            digest.update(frame.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Found:
    """What is in a folder."""

    files: tuple[Path, ...]  # those that can be read, in the order of the numbers in their names
    others: tuple[Path, ...]  # the rest, but for hidden ones


def find(folder: Path, suffixes: tuple[str, ...]) -> Found:
    """The files of a folder that have one of some suffixes; folders in it are not entered.

    Raises:
        InputError: there is no such folder, or a file is a link that leads out of it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the folder that holds the files")
    files, others = [], []
    for path in sorted(folder.iterdir(), key=_by_number):
        if path.name.startswith("."):
            continue
        if path.is_file() and path.suffix.lower() in suffixes:
            files.append(inside(folder, path.name))
        else:
            others.append(path)
    return Found(tuple(files), tuple(others))


def find_images(folder: Path) -> Found:
    """The images in a folder.

    Raises:
        InputError: there are none, or a file is a link that leads out of it.
    """
    found = find(folder, IMAGE_SUFFIXES)
    if not found.files:
        raise InputError(
            f"folder {folder} holds no images{_but(found.others)}; images end in {', '.join(IMAGE_SUFFIXES)}"
        )
    return found


def pair_masks(images: tuple[Path, ...], masks: tuple[Path, ...]) -> tuple[Path, ...]:
    """The mask of each image: that which is called like it, but for the suffix.

    Raises:
        InputError: an image has none, or two.
    """
    paired = []
    for image in images:
        fitting = [mask for mask in masks if mask.stem == image.stem]
        if len(fitting) != 1:
            many = "has no mask" if not fitting else f"has {len(fitting)} masks"
            raise InputError(f"image {image} {many}, needs one called {image.stem}.png; supply it or leave --masks out")
        paired.append(fitting[0])
    return tuple(paired)


def find_clips(path: Path) -> Found:
    """The clips that a path stands for: itself, those in it, or the one whose numbered frames are in it.

    Raises:
        InputError: there is nothing, or a file is a link that leads out of the folder.
    """
    if path.is_file():
        return Found((path,), ())
    if not path.exists():
        raise InputError(f"{path} does not exist; name a clip, a folder of clips or a folder of numbered frames")
    clips = find(path, CLIP_SUFFIXES)
    if clips.files:
        return clips
    frames = find(path, IMAGE_SUFFIXES)
    if not frames.files:
        raise InputError(
            f"folder {path} holds neither clips nor frames{_but(clips.others)}; clips end in {', '.join(CLIP_SUFFIXES)}"
        )
    return Found((path,), frames.others)


def inside(folder: Path, name: str) -> Path:
    """The path of something in a folder.

    Raises:
        InputError: it is a link, or a name with .., that leads out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path} leads out of its folder, to {path.resolve()}; copy the file itself into the folder")
    return path


def listed(paths: Sequence[Path], most: int = 5) -> str:
    """Some paths, and how many more there are."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(map(str, paths[:most])) + more


def _but(others: Sequence[Path]) -> str:
    return f" (but {listed(others)})" if others else ""


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sorts 2.jpg before 10.jpg."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
