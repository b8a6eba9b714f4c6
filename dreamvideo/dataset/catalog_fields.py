"""Read the fields of catalog.yaml one by one, and say of the first that is wrong what is wrong with it."""

import re
import reprlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from dreamvideo.errors import InputError

CATALOG_NAME = "catalog.yaml"
PULL = "run `dreamvideo data pull`"
_REQUIRED = object()


class Entry:
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
        """A field that holds text."""
        return self.take(field, str, "text (in quotes if it looks like a number)")

    def choice(self, field: str, allowed: tuple[str, ...]) -> str:
        """A field that holds one of a few words."""
        value = self.text(field)
        if value not in allowed:
            raise self._bad(field, value, f"one of {', '.join(allowed)}")
        return value

    def path(self, field: str) -> Path:
        """A field that holds a path inside the dataset."""
        return self._inside(field, self.text(field))

    def paths(self, field: str, default: Any = _REQUIRED) -> tuple[Path, ...]:
        """A field that holds a list of such paths, each once."""
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

    def trajectory(self) -> dict[str, list[list[float]]] | None:
        """What is known of a made-up motion: where its first clip's foreground is in every frame."""
        truth = self.take("truth", dict, "a mapping", default=None)
        if truth is not None and not _is_path(truth.get("trajectory")):
            raise self._bad("truth", truth, "a mapping whose trajectory is a list of pairs of numbers")
        return truth

    def origins(self) -> dict[str, dict[str, str]] | None:
        """For each file that was imported, what its original was called, and that one's SHA-256."""
        origins = self.take("origin", dict, "a mapping", default=None)
        for name, original in (origins or {}).items():
            if not isinstance(original, dict) or set(original) != {"file", "sha256"}:
                raise self._bad(f"origin of {name}", original, "a mapping of file and sha256")
        return origins

    def named(self, field: str, kind: str) -> Iterable[tuple[str, "Entry"]]:
        """The entries of a mapping from names."""
        for name, fields in self.take(field, dict, "a mapping from names").items():
            check_name(kind, name)
            yield name, Entry(f"{kind} {name!r}", fields, self.root)

    def listed(self, field: str, kind: str) -> Iterable["Entry"]:
        """The entries of a list, called by their place in it, from 1."""
        label = "" if self.label == CATALOG_NAME else f"{self.label}: "
        for place, fields in enumerate(self.take(field, list, "a list"), start=1):
            yield Entry(f"{label}{kind} {place}", fields, self.root)

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


def _is_path(value: Any) -> bool:
    places = value if isinstance(value, list) and value else [None]
    return all(isinstance(p, list) and len(p) == 2 and all(isinstance(x, int | float) for x in p) for p in places)


def check_name(kind: str, name: Any) -> None:
    """Refuse a name that could not stand for a folder or be told apart on every system.

    Raises:
        InputError: it has anything but lower-case letters, digits and underscores.
    """
    if not isinstance(name, str) or not re.fullmatch("[a-z0-9_]+", name):
        raise InputError(f"{kind} name {name!r} must be lower-case letters, digits and _; rename it")
