"""A registry for each thing that is added in one file: it maps a name to an object."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from dreamvideo.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from a public name to a class or function. Entries register themselves at import."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: enter the decorated object under ``name``."""

        def enter(entry: T) -> T:
            assert name not in self._entries, f"{self.kind} {name!r} is registered twice"
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        """The entry called ``name``.

        Raises:
            InputError: no such entry; the message suggests the nearest name.
        """
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)
