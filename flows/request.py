"""What a benchmark is asked to cover. It needs no heavy library, so that a wrong name is refused at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamvideo.dataset.catalog import Catalog, check_words
from dreamvideo.errors import InputError, unknown_name


@dataclass(frozen=True)
class Request:
    """What a user asks a benchmark to cover; None stands for everything or for the profile's own value."""

    subjects: str | None = None
    motions: str | None = None
    prompts: int | None = None
    seed: int | None = None

    def chosen(self, catalog: Catalog) -> tuple[list[str], list[str]]:
        """The names of subjects and of motions.

        Raises:
            InputError: an unknown name, or more than there are.
        """
        subjects = choose("subject", self.subjects, list(catalog.subjects))
        return subjects, choose("motion", self.motions, list(catalog.motions))


def choose(kind: str, wanted: str | None, known: Sequence[str]) -> list[str]:
    """The names that a user asks for: all of them, the first few ("3"), or some by name ("dog,cat").

    Raises:
        InputError: an unknown name, or more than there are.
    """
    if wanted is None:
        return list(known)
    if wanted.removeprefix("-").isdecimal():
        if not 0 < int(wanted) <= len(known):
            raise InputError(f"--{kind}s is {wanted}, but the catalog has {len(known)}; ask for 1 to {len(known)}")
        return list(known)[: int(wanted)]
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)
    if not names:
        raise InputError(f"--{kind}s is empty; give a number or names separated by commas")
    return list(dict.fromkeys(names))


def check_generate(catalog: Catalog, subject: str, motion: str, prompt: str, path: Path) -> None:
    """Refuse what no video can be generated for.

    Raises:
        InputError: an unknown name, a prompt that does not name the subject by one ``*``, an output that is no mp4.
    """
    if path.suffix != ".mp4":
        raise InputError(f"--out is {str(path)!r}; give a file name that ends in .mp4")
    check_words(prompt)
    catalog.subject(subject)
    catalog.motion(motion)
