"""Failures that end one piece of work, told apart from those that would end every one that follows."""

from collections.abc import Iterator

from dreamvideo.errors import InputError

# As the system says it, and as SQLite does; it may reach us through a server or a library, as text alone.
DISK_FULL = ("No space left on device", "database or disk is full")


def stop_if_disk_is_full(error: BaseException) -> None:
    """Do nothing, unless this failure came of a full disk: then no other work could be stored either.

    Raises:
        InputError: it did.
    """
    if any(words in str(one) for one in _chain(error) for words in DISK_FULL):
        raise InputError(
            "the disk is full; free some space and run the same command again: what is finished is kept, and nothing "
            "half-written is used"
        ) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came of, and what that came of."""
    seen = set()
    while error is not None and id(error) not in seen:  # a chain may come back to where it began
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
