"""From results to one HTML file."""

import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dreamvideo.files import replacing
from evaluation.metrics import Metric
from evaluation.report.data import CellResult, ReportData, cell_table
from evaluation.report.embedding import image_uri, playable, video_uri
from evaluation.report.heat_map import crossings, heat_map
from evaluation.report.palette import GRADIENT
from evaluation.report.scores import card_scores, score_ranges, shown_metrics, table_rows
from evaluation.statistics import summarise

__all__ = ["CellResult", "ReportData", "build_report"]

MANY_MOTIONS = 8  # from here on the heat map is coloured only, since numbers would not fit


def build_report(data: ReportData, path: Path, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Write the report; the same data gives the same bytes.

    Args:
        data: what to show.
        path: of the HTML file, which is replaced whole.
        resamples: of the bootstrap behind the intervals.
        seed: of the bootstrap.

    Returns:
        The summary that the report prints, as of ``evaluation.statistics.summarise``.

    Raises:
        InputError: an image or a video is missing or cannot be read.
    """
    cells = data.ordered_cells()
    metrics = shown_metrics(cells)
    names = [metric.name for metric in metrics]
    table = cell_table(cells, names)
    summary = summarise(table, names, resamples, seed)
    content = {
        "data": data,
        "counts": _counts(cells),
        "failures": [(_anchor(place), cell) for place, cell in enumerate(cells) if cell.status == "failed"],
        "rows": table_rows(summary, table, metrics, data.oracle_accuracy),
        "other_oracles": {k: v for k, v in data.oracle_accuracy.items() if k not in names},
        "fact_groups": [(name, list(facts)) for name, facts in groupby(data.facts, key=lambda fact: fact[0])],
        "media": _media(data, cells),
        **_maps(data, table, metrics),
        **_cards(data, cells, table, metrics),
    }
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_environment().get_template("report.html.j2").generate(content))
    return summary


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    return environment


def duration(seconds: float) -> str:
    """Seconds as a reader says them: 0.4 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _anchor(place: int) -> str:
    return f"cell-{place}"


def _counts(cells: list[CellResult]) -> dict[str, object]:
    finished = sum(cell.status == "finished" for cell in cells)
    return {
        "cells": len(cells),
        "finished": finished,
        "failed": len(cells) - finished,
        "reused": sum(cell.reused for cell in cells),
        "seconds": sum(cell.seconds for cell in cells if not cell.reused),
    }


def _maps(data: ReportData, table: pd.DataFrame, metrics: list[Metric]) -> dict[str, object]:
    """The heat maps of all metrics that have a score, and the grid that they share."""
    subjects, motions = list(data.subjects), list(data.motions)
    scored = [m for m in metrics if table.loc[table["status"] == "finished", m.name].notna().any()]
    flat = crossings(table, subjects, motions, [_anchor(place) for place in range(len(table))])
    width = len(motions)
    return {
        "maps": [heat_map(table, metric, subjects, motions) for metric in scored],
        "grid": [flat[start : start + width] for start in range(0, len(flat), width or 1)],
        "many_motions": len(motions) >= MANY_MOTIONS,
        "gradient": Markup(GRADIENT),
    }


def _cards(data: ReportData, cells: list[CellResult], table: pd.DataFrame, metrics: list[Metric]) -> dict[str, object]:
    """One card a cell, and what the script sorts them by. ``_media`` embeds the media named here."""
    subjects, motions = list(data.subjects), list(data.motions)
    ranges = score_ranges(table, metrics)
    cards, sortable = [], []
    for place, cell in enumerate(cells):
        subject, motion = subjects.index(cell.subject), motions.index(cell.motion)
        class_word, references = data.subjects[cell.subject]
        words, clip = data.motions[cell.motion]
        cards.append(
            {
                "anchor": _anchor(place),
                "cell": cell,
                "class_word": class_word,
                "words": words,
                "references": [f"subject-{subject}-{index}" for index in range(len(references))],
                "clip": f"motion-{motion}" if playable(clip) else "",
                "video": f"video-{place}" if playable(cell.video) else "",
                "scores": card_scores(cell, metrics, ranges),
            }
        )
        scores = {m.name: _number(cell.metrics.get(m.name)) for m in metrics}
        finished = cell.status == "finished"
        sortable.append({"subject": subject, "motion": motion, "scores": scores if finished else {}})
    return {"cards": cards, "sortable": sortable}


def _number(value: float | None) -> float | None:
    """A score as JSON takes it."""
    return value if value is not None and math.isfinite(value) else None


def _media(data: ReportData, cells: list[CellResult]) -> Iterator[tuple[str, Markup]]:
    """Name and data URI of everything that the cards show, each once; read only as the file is written."""
    for subject, (_, references) in enumerate(data.subjects.values()):
        for index, reference in enumerate(references):
            yield f"subject-{subject}-{index}", image_uri(reference)
    for motion, (_, clip) in enumerate(data.motions.values()):
        if playable(clip):
            yield f"motion-{motion}", video_uri(clip)
    for place, cell in enumerate(cells):
        if playable(cell.video):
            yield f"video-{place}", video_uri(cell.video)
