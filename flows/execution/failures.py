"""Failures of other libraries, as errors of a known kind: a full disk, a server that does not answer."""

from collections.abc import Iterator

from dreamvideo.errors import DiskFullError, ProjectError, UnavailableError, in_brief

# As the system says it, and as SQLite does. It may come through a server or a library, so that only the text is left.
DISK_FULL = ("No space left on device", "database or disk is full")
# Classes by name, since importing the libraries that define them takes seconds.
NO_ANSWER = {"ConnectionError", "ConnectTimeout", "ReadTimeout", "MaxRetryError", "ConnectError"}


def explained(error: BaseException) -> ProjectError | None:
    """The error of a known kind that explains a failure, or None if no kind fits."""
    causes = list(_chain(error))
    known = next((one for one in causes if isinstance(one, ProjectError)), None)
    if known:
        return known
    if any(words in str(one) for one in causes for words in DISK_FULL):
        return DiskFullError(
            "the disk is full; free some space and run the same command again: what is finished is kept, and nothing "
            "half-written is used"
        )
    silent = next((one for one in causes if type(one).__name__ in NO_ANSWER), None)
    if silent:
        return UnavailableError(
            f"a server does not answer ({in_brief(silent)}); start it, or unset MLFLOW_TRACKING_URI and PREFECT_API_URL "
            "to use the files of this folder"
        )
    return None


def stop_if_disk_is_full(error: BaseException) -> None:
    """Raise an error if a failure comes from a full disk: then nothing else can be stored either.

    Raises:
        DiskFullError: it does.
    """
    found = explained(error)
    if isinstance(found, DiskFullError):
        raise found from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, the cause of that, and so on."""
    seen = set()
    while error is not None and id(error) not in seen:  # a chain may lead back to its beginning
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
