"""What a user asks a benchmark to cover. This module imports no heavy library, so a wrong name is refused at once."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from dreamvideo.dataset.catalog import Catalog
from dreamvideo.dataset.prompts import Prompt, check_words
from dreamvideo.errors import InputError, unknown_name

COMBINATION = "subject_motion_context"  # the kind of prompts that a benchmark uses


@dataclass(frozen=True)
class Selection:
    """What a user asks a benchmark to cover. None stands for everything, or for the value of the profile."""

    subjects: str | None = None
    motions: str | None = None
    prompts: int | None = None
    seed: int | None = None

    def chosen(self, catalog: Catalog) -> tuple[list[str], list[str]]:
        """The names of subjects and of motions.

        Raises:
            InputError: an unknown name, or more subjects, motions or prompts than there are.
        """
        if self.prompts:
            templates_for(catalog.prompts, self.prompts)
        subjects = choose("subject", self.subjects, list(catalog.subjects))
        return subjects, choose("motion", self.motions, list(catalog.motions))

    def command(self, method: str, profile: str) -> str:
        """The command line that asks for the same."""
        options = asdict(self) | {"method": method, "profile": profile}
        words = [[f"--{name}", str(value)] for name, value in options.items() if value is not None]
        return shlex.join(["dreamvideo", "benchmark", "run", *chain.from_iterable(words)])


def templates_for(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """The prompts of a catalog from which a benchmark takes ``count`` for each combination.

    Raises:
        InputError: there are fewer.
    """
    templates = [prompt for prompt in prompts if prompt.kind == COMBINATION]
    if count > len(templates):
        remedy = "ask for fewer" if templates else f"add a prompt of kind {COMBINATION} to catalog.yaml"
        raise InputError(f"--prompts is {count}, but the catalog has {len(templates)} for combinations; {remedy}")
    return templates


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
    """Refuse a request before anything is trained or generated for it.

    Raises:
        InputError: an unknown name, a prompt that does not name the subject by one ``*``, an output that is no mp4
            or cannot be written.
    """
    if path.suffix != ".mp4":
        raise InputError(f"--out is {str(path)!r}; give a file name that ends in .mp4")
    if path.is_dir():
        raise InputError(f"--out is {str(path)!r}, which is a folder; give the name of a file in it")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"--out is {str(path)!r}, but nothing can be written in {folder}; choose another folder")
    check_words(prompt)
    catalog.subject(subject)
    catalog.motion(motion)
