"""The results of a report: its cells in order, their metrics, and the tables that every section reads."""

import math
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from evaluation.metrics import METRICS, Metric, metric_names
from evaluation.report.data import CellResult, ReportData, cell_table
from evaluation.statistics import summarise


@dataclass(frozen=True)
class Results:
    """What every section of a report reads. The report computes it once.

    Attributes:
        data: what the report shows.
        cells: in the order of the page.
        metrics: every metric that a cell has, in the order of the tables.
        table: one row a cell, as of ``evaluation.report.data.cell_table``.
        summary: one row a metric, as of ``evaluation.statistics.summarise``.
    """

    data: ReportData
    cells: list[CellResult]
    metrics: list[Metric]
    table: pd.DataFrame
    summary: pd.DataFrame

    @cached_property
    def scored_metrics(self) -> list[Metric]:
        """The metrics that at least one finished cell has a score of."""
        finished = self.table["status"] == "finished"
        return [metric for metric in self.metrics if self.table.loc[finished, metric.name].notna().any()]

    @cached_property
    def counts(self) -> dict[str, float]:
        """The numbers of cells by outcome, and the seconds that the new cells took."""
        finished = sum(cell.status == "finished" for cell in self.cells)
        return {
            "cells": len(self.cells),
            "finished": finished,
            "failed": len(self.cells) - finished,
            "reused": sum(cell.reused for cell in self.cells),
            "seconds": sum(cell.seconds for cell in self.cells if not cell.reused),
        }


def results_of(data: ReportData, resamples: int, seed: int = 0) -> Results:
    """The tables of a report.

    Args:
        data: what the report shows.
        resamples: of the bootstrap behind the intervals.
        seed: of the bootstrap.
    """
    cells = data.ordered_cells()
    metrics = shown_metrics(cells)
    names = [metric.name for metric in metrics]
    table = cell_table(cells, names)
    return Results(data, cells, metrics, table, summarise(table, names, resamples, seed))


def anchor(place: int) -> str:
    """The id of a cell's card in the page, by the cell's place in ``Results.cells``."""
    return f"cell-{place}"


def shown_metrics(cells: list[CellResult]) -> list[Metric]:
    """The metrics that any cell has. Registered metrics come first, in their order."""
    present = {name for cell in cells for name in cell.metrics}
    known = [METRICS[name] for name in metric_names() if name in present]
    unknown = sorted(present - {metric.name for metric in known})
    return known + [_unregistered(name) for name in unknown]


def _unregistered(name: str) -> Metric:
    """A stand-in for a metric that this version of the code no longer has, but an older run does."""
    words = "A metric that is no longer registered"
    return Metric(lambda features: math.nan, name, name, words, source="", higher_is_better=None)
