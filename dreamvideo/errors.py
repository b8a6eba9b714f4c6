"""The one exception for bad input, and the one way to suggest a near name."""

import difflib
import re
import textwrap
from collections.abc import Iterable

LONGEST = 200  # characters of another library's message within one of ours


class InputError(ValueError):
    """Bad input from a user: one sentence that names the field, the constraint, the value and the remedy."""


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


def in_brief(error: Exception) -> str:
    """What an error of another library says, on one line: as many of its sentences as are not too long, whole."""
    text = " ".join(str(error).split())
    if len(text) <= LONGEST:
        return text
    sentences, end, _ = text[:LONGEST].rpartition(". ")
    return sentences if end else textwrap.shorten(text, LONGEST, placeholder=" ...")
