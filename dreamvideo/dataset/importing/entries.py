"""A subject or motion that is not in the dataset yet: its fields, and how its files are made."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dreamvideo.dataset.catalog import SUBJECT_KINDS, WORDS
from dreamvideo.dataset.catalog_fields import check_name
from dreamvideo.dataset.clips import check_length, write_clip
from dreamvideo.dataset.importing.clips import read_any_clip
from dreamvideo.dataset.importing.files import Original, listed
from dreamvideo.dataset.importing.images import write_image, write_mask
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.params import DataParams


@dataclass(frozen=True)
class NewSubject:
    """A subject to be imported."""

    name: str
    class_word: str
    kind: str
    images: tuple[Original, ...]
    masks: tuple[Original, ...]  # one an image, or none at all
    source: str
    licence: str
    section: ClassVar[str] = "subjects"
    what: ClassVar[str] = "subject"

    def check(self) -> None:
        """Refuse fields that the catalog or the data gate would not take, before any file is made."""
        check_name(self.what, self.name)
        _check_words(self, "class_word", "dog")
        if self.kind not in SUBJECT_KINDS:
            raise InputError(f"subject {self.name!r}: kind is {self.kind!r}, must be {' or '.join(SUBJECT_KINDS)}")
        _check_filled(self, "source", self.source, "where the files are from")
        _check_filled(self, "licence", self.licence, "the licence of the files, such as CC-BY-4.0")

    @property
    def originals(self) -> dict[str, Original]:
        """What each file is made from, by its path in the dataset."""
        return _numbered(f"subjects/{self.name}", ".png", self.images) | _numbered(
            f"subjects/{self.name}/masks", ".png", self.masks
        )

    def write(self, folder: Path, data: DataParams) -> dict:
        """Make the subject's files in a folder; returns its fields in the catalog.

        Raises:
            InputError: an image or mask that cannot be used.
        """
        paths = list(self.originals)
        images, masks = paths[: len(self.images)], paths[len(self.images) :]
        sizes = [write_image(original.path, folder / path) for path, original in zip(images, self.images, strict=True)]
        for path, mask, image, size in zip(masks, self.masks, self.images, sizes, strict=False):
            write_mask(mask.path, folder / path, image.path, *size)
        return {
            "class_word": self.class_word,
            "kind": self.kind,
            "images": images,
            **({"masks": masks} if masks else {}),
            **_provenance(self, folder),
        }


@dataclass(frozen=True)
class NewMotion:
    """A motion to be imported."""

    name: str
    words: str
    captions: tuple[str, ...]  # one a clip, in their order, or a single one for all
    kind: str
    clips: tuple[Original, ...]
    fps: float | None  # of each clip; None takes what the files say
    source: str
    licence: str
    section: ClassVar[str] = "motions"
    what: ClassVar[str] = "motion"

    def check(self) -> None:
        """Refuse fields that the catalog or the data gate would not take, before any file is made."""
        check_name(self.what, self.name)
        _check_words(self, "words", "playing guitar")
        if len(self.captions) not in (1, len(self.clips)):
            raise InputError(
                f"motion {self.name!r} has {len(self.captions)} captions for {len(self.clips)} clips; give one for all, "
                f"or one a clip in the order of the clips: {listed([made.path for made in self.clips])}"
            )
        for caption in self.captions:
            _check_filled(self, "caption", caption, "what the clips show, such as 'a person is playing guitar'")
        _check_filled(self, "kind", self.kind, "a word to group motions by, such as human")
        _check_filled(self, "source", self.source, "where the files are from")
        _check_filled(self, "licence", self.licence, "the licence of the files, such as CC-BY-4.0")

    @property
    def originals(self) -> dict[str, Original]:
        """What each file is made from, by its path in the dataset."""
        return _numbered(f"motions/{self.name}", ".mp4", self.clips)

    def write(self, folder: Path, data: DataParams) -> dict:
        """Make the motion's files in a folder; returns its fields in the catalog.

        Raises:
            InputError: a clip that cannot be used, or is too short.
        """
        for path, original in self.originals.items():
            frames, fps = read_any_clip(original.path, self.fps)
            check_length(self.name, original.path, len(frames), fps, data.num_frames, data.fps)
            write_clip(folder / path, frames, fps)
        captions = self.captions if len(self.captions) > 1 else self.captions * len(self.clips)
        return {
            "words": self.words,
            "kind": self.kind,
            "clips": [
                {"path": path, "caption": caption} for path, caption in zip(self.originals, captions, strict=True)
            ],
            **_provenance(self, folder),
        }


NewEntry = NewSubject | NewMotion


def _numbered(folder: str, suffix: str, originals: tuple[Original, ...]) -> dict[str, Original]:
    return {f"{folder}/{index:02d}{suffix}": original for index, original in enumerate(originals)}


def _provenance(entry: NewEntry, folder: Path) -> dict:
    """Where the files are from, and the hashes of what they are and were."""
    originals = entry.originals
    return {
        "source": entry.source,
        "licence": entry.licence,
        "sha256": {path: sha256_file(folder / path) for path in originals},
        "origin": {path: {"file": made.name, "sha256": made.sha256()} for path, made in originals.items()},
    }


def _check_words(entry: NewEntry, field: str, example: str) -> None:
    value = getattr(entry, field)
    if not re.fullmatch(WORDS, value):
        raise InputError(
            f"{entry.what} {entry.name!r}: {field.replace('_', ' ')} is {value!r}, must be lower-case words, "
            f"such as {example!r}"
        )


def _check_filled(entry: NewEntry, field: str, value: str, meaning: str) -> None:
    if not value.strip():
        raise InputError(f"{entry.what} {entry.name!r}: {field} is empty, must say {meaning}; state it")
