"""The catalog: what a dataset holds, read from its catalog.yaml. Light enough to import for ``--help``."""

import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from dreamvideo import files
from dreamvideo.errors import InputError, unknown_name

CATALOG_NAME = "catalog.yaml"
PULL = "run `dreamvideo data pull`"
PLACEHOLDER = "*"
MOTION_SLOT = "{motion}"
SUBJECT_KINDS = ("pet", "object")
PROMPT_KINDS = ("subject_motion", "subject_context", "motion_context", "subject_motion_context")
SUBJECT_FREE_KINDS = ("motion_context",)
MOTION_SLOT_KINDS = ("motion_context", "subject_motion_context")


@dataclass(frozen=True)
class Subject:
    """A pet or an object to be learnt from images."""

    name: str
    class_word: str
    kind: str  # "pet" or "object"
    images: tuple[Path, ...]
    masks: tuple[Path, ...]  # one an image, or none at all
    source: str
    licence: str
    sha256: dict[str, str]  # by path relative to the catalog: the images', then the masks'
    truth: dict[str, Any] | None = None

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

    name: str
    words: str  # the verb phrase that fills {motion} in prompts
    kind: str  # a free word for grouping, such as "human" or "trajectory"
    clips: tuple[Clip, ...]
    source: str
    licence: str
    sha256: dict[str, str]  # by path relative to the catalog, in the order of the clips
    truth: dict[str, Any] | None = None

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


def load_catalog(root: Path | str) -> Catalog:
    """Read ``root/catalog.yaml``. Files are not opened: ``verify_files`` and the data gate do that.

    Raises:
        InputError: there is no catalog, it is not YAML, or an entry has a missing, unknown or mistyped field,
            a bad name, or a path that leads out of the root.
    """
    root = Path(root)
    path = root / CATALOG_NAME
    if not path.is_file():
        raise InputError(f"there is no dataset in {root} (no {CATALOG_NAME}); {PULL}")
    top = _Entry(CATALOG_NAME, _parse(path), root)
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


def count_placeholders(text: str) -> int:
    """How many times ``*`` stands as its own word."""
    return len(re.findall(r"(?<![\w*])\*(?![\w*])", text))


def verify_files(catalog: Catalog) -> None:
    """Compare every file with its SHA-256.

    Raises:
        InputError: the first file that is missing or differs.
    """
    for kind, entries in (("subject", catalog.subjects), ("motion", catalog.motions)):
        for entry in entries.values():
            for relative, expected in entry.sha256.items():
                path = catalog.root / relative
                if not path.is_file():
                    raise InputError(f"{kind} {entry.name!r}: file {relative} does not exist; {PULL}")
                if files.sha256_file(path) != expected:
                    raise InputError(f"{kind} {entry.name!r}: file {relative} differs from its SHA-256; {PULL}")


def _subject(name: str, entry: "_Entry") -> Subject:
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
        )
    )


def _motion(name: str, entry: "_Entry") -> Motion:
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
            truth=entry.take("truth", dict, "a mapping", default=None),
        )
    )


def _prompt(entry: "_Entry") -> Prompt:
    return entry.done(Prompt(text=entry.text("text"), kind=entry.choice("kind", PROMPT_KINDS)))


_REQUIRED = object()


class _Entry:
    """The fields of one mapping of the catalog, each taken once; what is left over at the end is an error."""

    def __init__(self, label: str, fields: Any, root: Path) -> None:
        if not isinstance(fields, dict):
            raise InputError(f"{label} is {reprlib.repr(fields)}, must be a mapping of fields; correct {CATALOG_NAME}")
        self.label, self.fields, self.root = label, dict(fields), root

    def take(self, field: str, kind: type, article: str, default: Any = _REQUIRED) -> Any:
        """The value of a field, which must be of a type."""
        value = self.fields.pop(field, default)
        if value is _REQUIRED:
            raise InputError(f"{self.label}: field {field} is missing; add it to {CATALOG_NAME}")
        if value is not default and not isinstance(value, kind):
            raise self._bad(field, value, article)
        return value

    def text(self, field: str) -> str:
        return self.take(field, str, "text (in quotes if it looks like a number)")

    def choice(self, field: str, allowed: tuple[str, ...]) -> str:
        value = self.text(field)
        if value not in allowed:
            raise self._bad(field, value, f"one of {', '.join(allowed)}")
        return value

    def path(self, field: str) -> Path:
        return self._inside(field, self.text(field))

    def paths(self, field: str, default: Any = _REQUIRED) -> tuple[Path, ...]:
        paths = [self._inside(field, value) for value in self.take(field, list, "a list of paths", default)]
        if len(set(paths)) < len(paths):
            raise InputError(f"{self.label}: field {field} lists a file twice; list each file once in {CATALOG_NAME}")
        return tuple(paths)

    def digests(self, paths: Iterable[Path]) -> dict[str, str]:
        """The SHA-256 of each of ``paths``, in their order."""
        given = {
            PurePosixPath(str(key)).as_posix(): value for key, value in self.take("sha256", dict, "a mapping").items()
        }
        wanted = [path.relative_to(self.root).as_posix() for path in paths]
        for name in (*wanted, *given):
            if name not in wanted:
                raise self._bad("sha256", name, "about a listed file")
            if not re.fullmatch("[0-9a-f]{64}", str(given.get(name))):
                raise self._bad(f"sha256 of {name}", given.get(name), f"64 hexadecimal digits (`sha256sum {name}`)")
        return {name: given[name] for name in wanted}

    def named(self, field: str, kind: str) -> Iterable[tuple[str, "_Entry"]]:
        """The entries of a mapping from names."""
        for name, fields in self.take(field, dict, "a mapping from names").items():
            if not re.fullmatch("[a-z0-9_]+", str(name)) or not isinstance(name, str):
                raise InputError(f"{kind} name {name!r} must be lower-case letters, digits and _; rename it")
            yield name, _Entry(f"{kind} {name!r}", fields, self.root)

    def listed(self, field: str, kind: str) -> Iterable["_Entry"]:
        """The entries of a list, called by their place in it, from 1."""
        label = "" if self.label == CATALOG_NAME else f"{self.label}: "
        for place, fields in enumerate(self.take(field, list, "a list"), start=1):
            yield _Entry(f"{label}{kind} {place}", fields, self.root)

    def done(self, parsed: Any = None) -> Any:
        """Return ``parsed`` unless there are fields left that nobody took."""
        if self.fields:
            raise InputError(f"{self.label}: unknown field {next(iter(self.fields))}; remove it from {CATALOG_NAME}")
        return parsed

    def _inside(self, field: str, value: Any) -> Path:
        if not isinstance(value, str) or not value:
            raise self._bad(field, value, "a path")
        path, relative = self.root / value, PurePosixPath(value)
        outside = relative.is_absolute() or ".." in relative.parts
        if outside or not path.resolve().is_relative_to(self.root.resolve()):
            raise self._bad(field, value, "a path that stays inside the dataset")
        return path

    def _bad(self, field: str, value: Any, article: str) -> InputError:
        return InputError(
            f"{self.label}: field {field} is {reprlib.repr(value)}, must be {article}; correct {CATALOG_NAME}"
        )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe YAML that refuses a key given twice, which would silently drop an entry."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _parse(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML ({reason}); correct it, or {PULL}") from error
