"""The catalog: what a dataset holds, in its catalog.yaml. Light enough to import for ``--help``."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, Field, FiniteFloat, TypeAdapter, ValidationInfo, field_validator
from ruamel.yaml import YAML

from dreamvideo import files
from dreamvideo.dataset.prompts import Prompt, default_prompts
from dreamvideo.dataset.rules import Digest, Name, SubjectKind
from dreamvideo.errors import InputError, unknown_name
from dreamvideo.files import replacing
from dreamvideo.roles import Role
from dreamvideo.user_input import Section, validated
from dreamvideo.yaml_files import WIDTH, read_yaml, to_yaml

CATALOG_NAME = "catalog.yaml"
PULL = "run `dreamvideo data pull`"

T = TypeVar("T")


def _inside(value: Any, info: ValidationInfo) -> Any:
    """A path of the catalog, from the root of the dataset, which it must not leave."""
    root = info.context
    if not isinstance(root, Path):  # made by code, with a path that is whole
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("must be a path")
    path, relative = root / value, PurePosixPath(value)
    outside = relative.is_absolute() or ".." in relative.parts
    if outside or not path.resolve().is_relative_to(root.resolve()):
        raise ValueError("must be a path that stays inside the dataset")
    return path


def _named(entries: Any) -> Any:
    """The entries of a mapping, each with its name."""
    if not isinstance(entries, dict):
        return entries
    for name, fields in entries.items():
        if isinstance(fields, dict) and "name" in fields:
            raise ValueError(f"{name} must have no field called name")
    return {name: fields | {"name": name} if isinstance(fields, dict) else fields for name, fields in entries.items()}


def _each_once(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(set(paths)) < len(paths):
        raise ValueError("must list each file once")
    return paths


Inside = Annotated[Path, BeforeValidator(_inside)]
_TRAJECTORY = TypeAdapter(list[Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]])


class Origin(Section):
    """What an imported file was made from."""

    file: str
    sha256: str


class Entry(Section):
    """What subjects and motions have in common."""

    name: Name
    source: str
    licence: str
    truth: dict[str, Any] | None = None  # what is known of a made-up one
    origin: dict[str, Origin] | None = None  # by path, of files that were imported


def _in_order(sha256: dict[str, str], paths: tuple[Path, ...], root: Path | None) -> dict[str, str]:
    """The hashes in the order of the files that they are of."""
    if root is None:
        return sha256
    given = {PurePosixPath(name).as_posix(): digest for name, digest in sha256.items()}
    wanted = [path.relative_to(root).as_posix() for path in paths]
    for name in wanted:
        if name not in given:
            raise ValueError(f"must have the SHA-256 of {name} (`sha256sum {name}`)")
    for name in given:
        if name not in wanted:
            raise ValueError(f"must be of listed files only, and {name} is none")
    return {name: given[name] for name in wanted}


class Subject(Entry):
    """A pet or an object to be learnt from images."""

    role: ClassVar[Role] = Role.SUBJECT
    class_word: str
    kind: SubjectKind
    images: tuple[Inside, ...]
    masks: tuple[Inside, ...] = ()  # one an image, or none at all
    sha256: dict[str, Digest]  # by path relative to the catalog: the images', then the masks'

    _once = field_validator("images", "masks")(_each_once)

    @field_validator("masks")
    @classmethod
    def _one_an_image(cls, masks: tuple[Path, ...], info: ValidationInfo) -> tuple[Path, ...]:
        count = len(info.data.get("images", ()))
        if masks and "images" in info.data and len(masks) != count:
            raise ValueError(f"must be {count} files, one an image, or none")
        return masks

    @field_validator("sha256")
    @classmethod
    def _of_each_file(cls, sha256: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if not {"images", "masks"} <= info.data.keys():  # they do not fit, and their own errors say so
            return sha256
        return _in_order(sha256, info.data["images"] + info.data["masks"], info.context)

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


class Clip(Section):
    """One video of a motion; the caption names what is seen in it."""

    path: Inside
    caption: str


class Motion(Entry):
    """A motion to be learnt from clips."""

    role: ClassVar[Role] = Role.MOTION
    words: str  # the verb phrase that fills {motion} in prompts
    kind: str  # a free word for grouping, such as "human" or "trajectory"
    clips: tuple[Clip, ...]
    sha256: dict[str, Digest]  # by path relative to the catalog, in the order of the clips

    @field_validator("sha256")
    @classmethod
    def _of_each_clip(cls, sha256: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if "clips" not in info.data:
            return sha256
        return _in_order(sha256, tuple(clip.path for clip in info.data["clips"]), info.context)

    @field_validator("truth")
    @classmethod
    def _has_a_path(cls, truth: dict[str, Any] | None) -> dict[str, Any] | None:
        """A made-up motion says where its first clip's foreground is in every frame."""
        try:
            if truth is not None and not _TRAJECTORY.validate_python(truth.get("trajectory"), strict=True):
                raise ValueError("it is empty")
        except ValueError as error:
            raise ValueError("must be a mapping whose trajectory is a list of pairs of numbers") from error
        return truth

    @property
    def content_key(self) -> str:
        """The hash of everything that training on this motion can see; names and folders are not in it."""
        captions = [clip.caption for clip in self.clips]
        return files.content_key({"words": self.words, "captions": captions, "clips": list(self.sha256.values())})


class _File(Section):
    """What catalog.yaml says."""

    subjects: Annotated[dict[Name, Subject], BeforeValidator(_named)]
    motions: Annotated[dict[Name, Motion], BeforeValidator(_named)]
    prompts: tuple[Prompt, ...]


class Catalog(_File):
    """The subjects, motions and prompts of a dataset."""

    root: Path

    def subject(self, name: str) -> Subject:
        """The subject called ``name``; InputError suggests the nearest one if there is none."""
        return _called(name, self.subjects, "subject")

    def motion(self, name: str) -> Motion:
        """The motion called ``name``; InputError suggests the nearest one if there is none."""
        return _called(name, self.motions, "motion")

    def entry(self, role: Role, name: str) -> Subject | Motion:
        """The subject or the motion called ``name``; InputError suggests the nearest one if there is none."""
        return self.subject(name) if role is Role.SUBJECT else self.motion(name)

    def lookup(self, name: str) -> Subject | Motion:
        """The subject or the motion called ``name``; InputError suggests the nearest one if there is none."""
        entries: dict[str, Subject | Motion] = {**self.motions, **self.subjects}
        return _called(name, entries, "subject or motion")


def _called(name: str, entries: Mapping[str, T], kind: str) -> T:
    if name not in entries:
        raise unknown_name(kind, name, entries)
    return entries[name]


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
    content = validated(_File, read_yaml(path, f"correct it, or {PULL}"), str(path), context=root)
    return Catalog.model_construct(root=root, **vars(content))


def add_entries(root: Path, entries: Mapping[str, Mapping[str, dict]]) -> None:
    """Add subjects and motions to the catalog of ``root``; the comments and the order of what is there stay.

    A catalog that is not there yet begins with the default prompts.

    Args:
        root: the folder of the dataset.
        entries: fields, by name, by section: "subjects" and "motions".
    """
    path = root / CATALOG_NAME
    file = YAML()
    file.preserve_quotes = True
    file.width = WIDTH
    empty = {"subjects": {}, "motions": {}, "prompts": default_prompts()}
    catalog = file.load(path.read_text(encoding="utf-8") if path.exists() else to_yaml(empty))
    for section, added in entries.items():
        if added:
            # An empty section is written as {}, and what is put into it would stay on that line.
            catalog[section] = catalog[section] or file.map()
            catalog[section].update(file.load(to_yaml(added)))
    with replacing(path) as temporary:
        file.dump(catalog, temporary)
