"""One subject x motion map a metric: the colour and the text of each crossing."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from evaluation.metrics import Metric
from evaluation.report.palette import GRADIENT, ink_on, viridis
from evaluation.report.results import Results, anchor
from evaluation.report.sections.section import section

MANY_MOTIONS = 8  # from here on the map has colours only: numbers would not fit


@section("heat_map", order=200)
def heat_maps(results: Results) -> dict[str, object]:
    """The maps of all metrics that have a score, and the grid that they share."""
    table, subjects, motions = results.table, list(results.data.subjects), list(results.data.motions)
    flat = crossings(table, subjects, motions, [anchor(place) for place in range(len(table))])
    width = len(motions)
    maps = [heat_map(table, metric, subjects, motions) for metric in results.scored_metrics]
    return {
        "maps": maps,
        "grid": [flat[start : start + width] for start in range(0, len(flat), width or 1)],
        "many_motions": len(motions) >= MANY_MOTIONS,
        "gradient": Markup(GRADIENT),
        "script": {"maps": maps},
    }


@dataclass(frozen=True)
class Crossing:
    """One place of the map: the card that it links to, and the results of its cells."""

    subject: str
    motion: str
    anchor: str  # of its first card; empty without a cell
    finished: int
    failed: int

    @property
    def state(self) -> str:
        """How to draw it: empty, failed, partial or finished."""
        if not self.anchor:
            return "empty"
        if not self.failed:
            return "finished"
        return "partial" if self.finished else "failed"


def crossings(table: pd.DataFrame, subjects: list[str], motions: list[str], anchors: list[str]) -> list[Crossing]:
    """Every crossing of subjects and motions, row by row. ``anchors`` has one entry for each row of the table."""
    groups = table.assign(anchor=anchors).groupby(["subject", "motion"], sort=False)
    cells = {where: (group["anchor"].iloc[0], group["status"]) for where, group in groups}
    found = []
    for subject in subjects:
        for motion in motions:
            anchor, status = cells.get((subject, motion), ("", pd.Series(dtype=str)))
            finished, failed = int((status == "finished").sum()), int((status != "finished").sum())
            found.append(Crossing(subject, motion, anchor, finished, failed))
    return found


def heat_map(table: pd.DataFrame, metric: Metric, subjects: list[str], motions: list[str]) -> dict:
    """The map of one metric, ready to be drawn.

    Returns:
        ``low`` and ``high`` of the colour scale as text; ``cells`` row by row, each (colour, ink, text) or
        None where no score is known; ``rows`` and ``columns``, the means of subjects and motions as text.
    """
    known = table[(table["status"] == "finished") & table[metric.name].notna()]
    means = known.groupby(["subject", "motion"])[metric.name].mean()
    low, high = (means.min(), means.max()) if len(means) else (float("nan"), float("nan"))

    def drawn(subject: str, motion: str) -> tuple[str, str, str] | None:
        if (subject, motion) not in means.index:
            return None
        value = float(means[subject, motion])
        colour = viridis((value - low) / (high - low) if high > low else 0.5)
        return colour, ink_on(colour), metric.print(value)

    def margin(axis: str, names: list[str]) -> list[str]:
        mean = known.groupby(axis)[metric.name].mean()
        return [metric.print(mean.get(name)) for name in names]

    return {
        "name": metric.name,
        "label": metric.label,
        "low": metric.print(low),
        "high": metric.print(high),
        "cells": [drawn(subject, motion) for subject in subjects for motion in motions],
        "rows": margin("subject", subjects),
        "columns": margin("motion", motions),
    }
