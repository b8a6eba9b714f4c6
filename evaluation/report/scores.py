"""The rows of the metric table, with their intervals drawn to scale, and the scores on the cards."""

import math

import pandas as pd

from evaluation.metrics import METRICS, Metric, metric_names
from evaluation.report.data import CellResult

WIDTH, MARGIN = 240, 6  # of an interval bar, in SVG units
ARROWS = {True: ("↑", "higher is better"), False: ("↓", "lower is better"), None: ("·", "for information")}


def shown_metrics(cells: list[CellResult]) -> list[Metric]:
    """The metrics that any cell has, in their order; those that are not registered come last."""
    present = {name for cell in cells for name in cell.metrics}
    known = [METRICS[name] for name in metric_names() if name in present]
    unknown = sorted(present - {metric.name for metric in known})
    return known + [_unregistered(name) for name in unknown]


def _unregistered(name: str) -> Metric:
    """A stand-in for a metric that only a result knows, as when an older run is reported again."""
    words = "A metric that is no longer registered"
    unknown = {"score": lambda features: math.nan, "higher_is_better": None, "source": ""}
    return Metric(name=name, label=name, description=words, **unknown)


def table_rows(
    summary: pd.DataFrame, table: pd.DataFrame, metrics: list[Metric], oracle: dict[str, float]
) -> list[dict]:
    """What the metric table prints, one row a metric."""
    rows = []
    for metric, row in zip(metrics, summary.itertuples(), strict=True):
        arrow, direction = ARROWS[metric.higher_is_better]
        rows.append(
            {
                "metric": metric,
                "arrow": arrow,
                "direction": direction,
                "mean": metric.print(row.mean),
                "low": metric.print(row.low),
                "high": metric.print(row.high),
                "n": row.n,
                "bar": interval_bar(table.loc[table["status"] == "finished", metric.name], row, metric),
                "oracle": metric.print(oracle[metric.name]) if metric.name in oracle else "",
            }
        )
    return rows


def interval_bar(values: pd.Series, row: object, metric: Metric) -> dict | None:
    """Places (SVG units) of lowest and highest cell, interval and mean on one scale; None without scores."""
    if not row.n:
        return None
    smallest, largest = float(values.min()), float(values.max())
    low, high = (row.low, row.high) if math.isfinite(row.low) else (row.mean, row.mean)
    start, end = min(smallest, low), max(largest, high)

    def place(value: float) -> float:
        share = (value - start) / (end - start) if end > start else 0.5
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 2)

    return {
        "smallest": place(smallest), "largest": place(largest), "low": place(low), "high": place(high),
        "mean": place(row.mean), "left": metric.print(smallest), "right": metric.print(largest),
    }  # fmt: skip


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
