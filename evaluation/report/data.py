"""The data of a report."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from dreamvideo.errors import InputError, unknown_name


@dataclass(frozen=True)
class CellResult:
    """One combination of subject, motion, prompt and seed, with its result.

    Attributes:
        key: content hash of everything that decides the result.
        subject: name of the subject.
        motion: name of the motion.
        prompt: with the subject's class word, as CLIP-T reads it.
        seed: of the noise.
        status: the report shows and counts a failed cell, and leaves it out of every mean.
        reason: why it failed, in one sentence; empty otherwise.
        metrics: scores by the name of the metric; NaN if unknown.
        video: the generated video (.mp4 or .webm, which browsers play), or None.
        seconds: that it took.
        reused: whether it comes from an earlier run.
    """

    key: str
    subject: str
    motion: str
    prompt: str
    seed: int
    status: Literal["finished", "failed"]
    reason: str
    metrics: dict[str, float]
    video: Path | None
    seconds: float
    reused: bool


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        title: of the report.
        profile: name of the profile that ran.
        notice: one or two sentences that a reader must know before the numbers; may be empty.
        facts: (group, name, value) in the order of printing.
        subjects: name -> (class word, reference images).
        motions: name -> (words of the caption, one training clip).
        cells: in any order.
        oracle_accuracy: the oracle's own scores on real frames, by the metric that it serves or another name.
        params_yaml: the parameters of the run.

    Raises:
        InputError: a cell names an unknown subject, motion or status, or is there twice.
    """

    title: str
    profile: str
    notice: str
    facts: list[tuple[str, str, str]]
    subjects: dict[str, tuple[str, list[Path]]]
    motions: dict[str, tuple[str, Path]]
    cells: list[CellResult]
    oracle_accuracy: dict[str, float]
    params_yaml: str

    def __post_init__(self) -> None:
        for cell in self.cells:
            for kind, name, known in (
                ("subject", cell.subject, self.subjects),
                ("motion", cell.motion, self.motions),
                ("status", cell.status, ("finished", "failed")),
            ):
                if name not in known:
                    raise unknown_name(f"{kind} of cell {cell.key[:12]!r}:", name, known)
        for key, count in Counter(cell.key for cell in self.cells).items():
            if count > 1:
                raise InputError(f"cell {key[:12]!r}: must be in a report once, is there {count} times")

    def ordered_cells(self) -> list[CellResult]:
        """The cells by subject and motion as these are listed, then by prompt and seed."""
        subject = {name: place for place, name in enumerate(self.subjects)}
        motion = {name: place for place, name in enumerate(self.motions)}
        return sorted(self.cells, key=lambda c: (subject[c.subject], motion[c.motion], c.prompt, c.seed, c.key))


def cell_table(cells: list[CellResult], metrics: list[str]) -> pd.DataFrame:
    """One row a cell: subject, motion, prompt, seed, status and one column a metric; NaN if unknown."""
    identity = ["subject", "motion", "prompt", "seed", "status"]
    rows = [
        [getattr(cell, field) for field in identity] + [cell.metrics.get(name, math.nan) for name in metrics]
        for cell in cells
    ]
    return pd.DataFrame(rows, columns=[*identity, *metrics])
