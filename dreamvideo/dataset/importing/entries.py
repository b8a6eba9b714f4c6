"""A subject or motion that is not in the dataset yet: its fields, and how its files are made."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationInfo, field_validator

from dreamvideo.dataset.clips import write_clip
from dreamvideo.dataset.importing.clips import read_any_clip
from dreamvideo.dataset.importing.files import Original, listed
from dreamvideo.dataset.importing.images import write_image
from dreamvideo.dataset.importing.masks import write_mask
from dreamvideo.dataset.rules import Caption, Filled, Name, SubjectKind, Words, check_timing
from dreamvideo.files import sha256_file
from dreamvideo.params import DataParams
from dreamvideo.user_input import Section, validated


class NewEntry(Section):
    """What is to be imported."""

    section: ClassVar[str]  # of the catalog
    what: ClassVar[str]

    name: Name
    source: Filled  # where the files are from
    licence: Filled

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """An entry of these fields.

        Raises:
            InputError: the first field that the catalog or the data gate would not take.
        """
        return validated(cls, fields, f"{cls.what} {fields.get('name')!r}")

    @property
    @abstractmethod
    def originals(self) -> dict[str, Original]:
        """What each file is made from, by its path in the dataset."""

    @abstractmethod
    def write(self, folder: Path, data: DataParams) -> dict:
        """Make the entry's files in a folder; returns its fields in the catalog.

        Raises:
            InputError: a file that cannot be used.
        """

    def _provenance(self, folder: Path) -> dict:
        """Where the files are from, and the hashes of what they are and were."""
        originals = self.originals
        return {
            "source": self.source,
            "licence": self.licence,
            "sha256": {path: sha256_file(folder / path) for path in originals},
            "origin": {path: {"file": made.name, "sha256": made.sha256()} for path, made in originals.items()},
        }


class NewSubject(NewEntry):
    """A subject to be imported."""

    section: ClassVar[str] = "subjects"
    what: ClassVar[str] = "subject"

    class_word: Words
    kind: SubjectKind
    images: tuple[Original, ...]
    masks: tuple[Original, ...] = ()  # one an image, or none at all

    @property
    def originals(self) -> dict[str, Original]:
        """What each file is made from, by its path in the dataset."""
        folder = f"subjects/{self.name}"
        return _numbered(folder, ".png", self.images) | _numbered(f"{folder}/masks", ".png", self.masks)

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
        fields = {"class_word": self.class_word, "kind": self.kind, "images": images}
        return fields | ({"masks": masks} if masks else {}) | self._provenance(folder)


class NewMotion(NewEntry):
    """A motion to be imported."""

    section: ClassVar[str] = "motions"
    what: ClassVar[str] = "motion"

    words: Words
    kind: Filled  # a word to group motions by, such as human
    clips: tuple[Original, ...]
    captions: tuple[Caption, ...]  # what the clips show: one a clip, in their order, or a single one for all
    fps: float | None = None  # of each clip; None takes what the files say

    @field_validator("captions")
    @classmethod
    def _one_for_all_or_one_a_clip(cls, captions: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        clips = info.data.get("clips", ())
        if len(captions) not in (1, len(clips)):
            raise ValueError(
                f"must be one for all, or {len(clips)}, one a clip in the order of the clips: "
                f"{listed([made.path for made in clips])}"
            )
        return captions

    @property
    def originals(self) -> dict[str, Original]:
        """What each file is made from, by its path in the dataset."""
        return _numbered(f"motions/{self.name}", ".mp4", self.clips)

    def write(self, folder: Path, data: DataParams) -> dict:
        """Make the motion's files in a folder; returns its fields in the catalog.

        Raises:
            InputError: a clip that cannot be used, or is too slow or too short.
        """
        for path, original in self.originals.items():
            frames, fps = read_any_clip(original.path, self.fps)
            check_timing(self.name, original.path, len(frames), fps, data.num_frames, data.fps)
            write_clip(folder / path, frames, fps)
        captions = self.captions if len(self.captions) > 1 else self.captions * len(self.clips)
        clips = [{"path": path, "caption": caption} for path, caption in zip(self.originals, captions, strict=True)]
        return {"words": self.words, "kind": self.kind, "clips": clips} | self._provenance(folder)


def _numbered(folder: str, suffix: str, originals: tuple[Original, ...]) -> dict[str, Original]:
    return {f"{folder}/{index:02d}{suffix}": original for index, original in enumerate(originals)}
