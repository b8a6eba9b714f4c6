"""Errors by kind. The message of each is one sentence for the user: what is wrong, and the remedy."""

import difflib
import re
import textwrap
from collections.abc import Iterable

LONGEST = 200  # characters of another library's message within one of ours


class ProjectError(Exception):
    """An error that the command line prints as one sentence, without a traceback."""

    exit_code = 1


class InputError(ProjectError, ValueError):
    """A mistake of the user. The sentence names the field, the constraint, the value and the remedy."""

    exit_code = 2


class NotComparableError(InputError):
    """Two runs or two versions share nothing that can be compared."""


class ConflictError(ProjectError):
    """Another process changed what this one works on."""


class DamagedError(ProjectError):
    """Something that was stored is missing, or is not what was stored."""


class DiskFullError(ProjectError):
    """The disk has no space left."""


class OutOfMemoryError(ProjectError):
    """The work does not fit into the memory of the GPU or of the machine."""


class NotFiniteError(ProjectError, FloatingPointError):
    """A computation gave NaN or infinity."""


class UnavailableError(ProjectError):
    """A server does not answer, or refuses this machine."""


def unknown_name(kind: str, name: str, known: Iterable[str], prefix: str = "") -> InputError:
    """The error for a name that does not exist, with the nearest one that does; both are printed after the prefix."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = (
        f"did you mean {prefix + near[0]!r}?" if near else f"known are: {', '.join(prefix + other for other in known)}"
    )
    return InputError(f"unknown {kind} {prefix + name!r}; {remedy}")


def masked(text: str) -> str:
    """A text without the passwords of the addresses in it, and without a token that stands for name and password."""
    text = re.sub(r"(?<=//)([^/@:\s]*):\S*@", r"\1:***@", text)  # up to the last @: a password may hold / and @
    text = re.sub(r"(https?://)[^/@:\s]+@", r"\1***@", text)
    return re.sub(r"(?i)\b(\w*(?:password|passwd|token|secret)=)[^&\s'\"]+", r"\1***", text)


def in_brief(error: BaseException) -> str:
    """What an error of another library says, on one line: as many of its sentences as are not too long, whole."""
    text = " ".join(str(error).split())
    if len(text) <= LONGEST:
        return text
    sentences, end, _ = text[:LONGEST].rpartition(". ")
    return sentences if end else textwrap.shorten(text, LONGEST, placeholder=" ...")
