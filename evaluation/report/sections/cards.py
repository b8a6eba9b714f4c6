"""One card a cell: the reference images, the motion's clip, the generated video and its scores."""

import math

import pandas as pd

from evaluation.metrics import Metric
from evaluation.report.data import CellResult
from evaluation.report.embedding import playable
from evaluation.report.results import Results, anchor
from evaluation.report.sections.section import section


@section("cards", order=300)
def cards(results: Results) -> dict[str, object]:
    """The cards, and the scores for sorting them. ``evaluation.report.build`` embeds the media named here."""
    data, metrics = results.data, results.metrics
    subjects, motions = list(data.subjects), list(data.motions)
    ranges = score_ranges(results.table, metrics)
    shown, sortable = [], []
    for place, cell in enumerate(results.cells):
        subject, motion = subjects.index(cell.subject), motions.index(cell.motion)
        class_word, references = data.subjects[cell.subject]
        words, clip = data.motions[cell.motion]
        shown.append(
            {
                "anchor": anchor(place),
                "cell": cell,
                "class_word": class_word,
                "words": words,
                "references": [f"subject-{subject}-{index}" for index in range(len(references))],
                "clip": f"motion-{motion}" if playable(clip) else "",
                "video": f"video-{place}" if playable(cell.video) else "",
                "scores": card_scores(cell, metrics, ranges),
            }
        )
        scores = {metric.name: _number(cell.metrics.get(metric.name)) for metric in metrics}
        finished = cell.status == "finished"
        sortable.append({"subject": subject, "motion": motion, "scores": scores if finished else {}})
    return {"cards": shown, "sortings": results.scored_metrics, "script": {"cells": sortable}}


def card_scores(cell: CellResult, metrics: list[Metric], ranges: dict[str, tuple[float, float]]) -> list[dict]:
    """Label, text and length of the bar for each metric: percent of this report's range, None if unknown."""
    scores = []
    for metric in metrics:
        value = cell.metrics.get(metric.name, math.nan)
        low, high = ranges[metric.name]
        fill = None
        if math.isfinite(value):
            fill = round(100 * (value - low) / (high - low), 1) if high > low else 50.0
        scores.append({"label": metric.label, "text": metric.print(value), "fill": fill})
    return scores


def score_ranges(table: pd.DataFrame, metrics: list[Metric]) -> dict[str, tuple[float, float]]:
    """Lowest and highest score of each metric among the finished cells."""
    finished = table[table["status"] == "finished"]
    return {m.name: (float(finished[m.name].min()), float(finished[m.name].max())) for m in metrics}


def _number(value: float | None) -> float | None:
    """A score as JSON takes it."""
    return value if value is not None and math.isfinite(value) else None
