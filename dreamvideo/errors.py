"""The one exception for bad input, and the one way to suggest a near name."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from a user: one sentence that names the field, the constraint, the value and the remedy."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that does not exist, with the nearest one that does."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
    return InputError(f"unknown {kind} {name!r}; {remedy}")
