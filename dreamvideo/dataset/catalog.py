"""The catalog: what a dataset holds, read from its catalog.yaml. Light enough to import for ``--help``."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dreamvideo import files
from dreamvideo.dataset.catalog_fields import CATALOG_NAME, PULL, Entry
from dreamvideo.errors import InputError, unknown_name
from dreamvideo.roles import Role
from dreamvideo.yaml_files import read_yaml

PLACEHOLDER = "*"
MOTION_SLOT = "{motion}"
SUBJECT_KINDS = ("pet", "object")
PROMPT_KINDS = ("subject_motion", "subject_context", "motion_context", "subject_motion_context")
SUBJECT_FREE_KINDS = ("motion_context",)
MOTION_SLOT_KINDS = ("motion_context", "subject_motion_context")
WORDS = r"^[a-z]+(?:[ -][a-z]+)*$"  # what class words and the words of motions are


@dataclass(frozen=True)
class Subject:
    """A pet or an object to be learnt from images."""

    role: ClassVar[Role] = Role.SUBJECT
    name: str
    class_word: str
    kind: str  # "pet" or "object"
    images: tuple[Path, ...]
    masks: tuple[Path, ...]  # one an image, or none at all
    source: str
    licence: str
    sha256: dict[str, str]  # by path relative to the catalog: the images', then the masks'
    truth: dict[str, Any] | None = None
    origin: dict[str, dict[str, str]] | None = None  # {file, sha256} of what an imported file was made from

    @property
    def words(self) -> str:
        """What prompts call it: its class word."""
        return self.class_word

    @property
    def content_key(self) -> str:
        """The hash of everything that training on this subject can see; names and folders are not in it."""
        digests = list(self.sha256.values())
        count = len(self.images)
        return files.content_key({"class": self.class_word, "images": digests[:count], "masks": digests[count:]})


@dataclass(frozen=True)
class Clip:
    """One video of a motion; the caption names what is seen in it."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Motion:
    """A motion to be learnt from clips."""

    role: ClassVar[Role] = Role.MOTION
    name: str
    words: str  # the verb phrase that fills {motion} in prompts
    kind: str  # a free word for grouping, such as "human" or "trajectory"
    clips: tuple[Clip, ...]
    source: str
    licence: str
    sha256: dict[str, str]  # by path relative to the catalog, in the order of the clips
    truth: dict[str, Any] | None = None
    origin: dict[str, dict[str, str]] | None = None  # {file, sha256} of what an imported file was made from

    @property
    def content_key(self) -> str:
        """The hash of everything that training on this motion can see; names and folders are not in it."""
        captions = [clip.caption for clip in self.clips]
        return files.content_key({"words": self.words, "captions": captions, "clips": list(self.sha256.values())})


@dataclass(frozen=True)
class Prompt:
    """A prompt of the benchmark: ``*`` is the subject, ``{motion}`` the words of the motion."""

    text: str
    kind: str  # one of PROMPT_KINDS

    def fill(self, words: str) -> str:
        """The text with the motion's words in it."""
        return self.text.replace(MOTION_SLOT, words)


@dataclass(frozen=True)
class Catalog:
    """The subjects, motions and prompts of a dataset."""

    root: Path
    subjects: dict[str, Subject]
    motions: dict[str, Motion]
    prompts: tuple[Prompt, ...]

    def subject(self, name: str) -> Subject:
        """The subject called ``name``; InputError suggests the nearest one if there is none."""
        if name not in self.subjects:
            raise unknown_name("subject", name, self.subjects)
        return self.subjects[name]

    def motion(self, name: str) -> Motion:
        """The motion called ``name``; InputError suggests the nearest one if there is none."""
        if name not in self.motions:
            raise unknown_name("motion", name, self.motions)
        return self.motions[name]

    def entry(self, role: Role, name: str) -> Subject | Motion:
        """The subject or the motion called ``name``; InputError suggests the nearest one if there is none."""
        return self.subject(name) if role is Role.SUBJECT else self.motion(name)


def load_catalog(root: Path | str) -> Catalog:
    """Read ``root/catalog.yaml``. Files are not opened: ``verify_files`` and the data gate do that.

    Raises:
        InputError: there is no catalog, it is not YAML, or an entry has a missing, unknown or mistyped field,
            a bad name, or a path that leads out of the root.
    """
    root = Path(root)
    path = root / CATALOG_NAME
    if not path.is_file():
        raise InputError(
            f"there is no dataset in {root} (no {CATALOG_NAME}); {PULL}, or make one with `dreamvideo data import`"
        )
    top = Entry(CATALOG_NAME, read_yaml(path, f"correct it, or {PULL}"), root)
    catalog = Catalog(
        root=root,
        subjects={name: _subject(name, entry) for name, entry in top.named("subjects", "subject")},
        motions={name: _motion(name, entry) for name, entry in top.named("motions", "motion")},
        prompts=tuple(_prompt(entry) for entry in top.listed("prompts", "prompt")),
    )
    top.done()
    return catalog


def check_prompt(text: str) -> None:
    """Refuse a prompt that does not name the subject by exactly one ``*``, standing as its own word.

    Raises:
        InputError: it has none, several, or one inside a word.
    """
    remedy = 'write the subject as *, as in "a * jumping on the beach"'
    count = count_placeholders(text)
    if PLACEHOLDER not in text:
        raise InputError(f"prompt {text!r} has no placeholder; {remedy}")
    if text.count(PLACEHOLDER) > 1:
        raise InputError(f"prompt {text!r} has {text.count(PLACEHOLDER)} placeholders, needs exactly one; {remedy}")
    if count != 1:
        raise InputError(f"prompt {text!r} has its placeholder inside a word, needs it apart; {remedy}")


def check_words(prompt: str) -> None:
    """Refuse a prompt that does not name the subject by one ``*``, or that is still a template.

    Raises:
        InputError: it is such.
    """
    check_prompt(prompt)
    if "{" in prompt:
        raise InputError(
            f"prompt {prompt!r} has a field that is not filled in; write the words, as in 'a * is jumping'"
        )


def count_placeholders(text: str) -> int:
    """How many times ``*`` stands as its own word."""
    return len(re.findall(r"(?<![\w*])\*(?![\w*])", text))


def verify_files(catalog: Catalog) -> None:
    """Compare every file with its SHA-256.

    Raises:
        InputError: the first file that is missing, cannot be read or differs.
    """
    for entry in (*catalog.subjects.values(), *catalog.motions.values()):
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
            found = files.sha256_file(path)
        except OSError as error:
            raise InputError(
                f"{what}: file {relative} cannot be read ({error.strerror}); mend its permissions"
            ) from error
        if found != expected:
            raise InputError(f"{what}: file {relative} differs from its SHA-256; delete it and {PULL}")


def _subject(name: str, entry: Entry) -> Subject:
    images, masks = entry.paths("images"), entry.paths("masks", default=[])
    if masks and len(masks) != len(images):
        raise InputError(
            f"{entry.label}: field masks has {len(masks)} files, needs {len(images)}, one an image, or none; "
            "add the missing masks or drop the field"
        )
    return entry.done(
        Subject(
            name=name,
            class_word=entry.text("class_word"),
            kind=entry.choice("kind", SUBJECT_KINDS),
            images=images,
            masks=masks,
            source=entry.text("source"),
            licence=entry.text("licence"),
            sha256=entry.digests((*images, *masks)),
            truth=entry.take("truth", dict, "a mapping", default=None),
            origin=entry.origins(),
        )
    )


def _motion(name: str, entry: Entry) -> Motion:
    clips = tuple(
        item.done(Clip(path=item.path("path"), caption=item.text("caption"))) for item in entry.listed("clips", "clip")
    )
    return entry.done(
        Motion(
            name=name,
            words=entry.text("words"),
            kind=entry.text("kind"),
            clips=clips,
            source=entry.text("source"),
            licence=entry.text("licence"),
            sha256=entry.digests([clip.path for clip in clips]),
            truth=entry.trajectory(),
            origin=entry.origins(),
        )
    )


def _prompt(entry: Entry) -> Prompt:
    return entry.done(Prompt(text=entry.text("text"), kind=entry.choice("kind", PROMPT_KINDS)))
