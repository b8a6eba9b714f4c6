"""The table of metrics: means, and intervals drawn to scale."""

import math
from typing import Any

import pandas as pd

from evaluation.metrics import Metric
from evaluation.report.results import Results
from evaluation.report.sections.section import section

WIDTH, MARGIN = 240, 6  # of an interval bar, in SVG units
ARROWS = {True: ("↑", "higher is better"), False: ("↓", "lower is better"), None: ("·", "for information")}


@section("scores", order=100)
def scores(results: Results) -> dict[str, object]:
    """The rows of the table, and the oracle's scores on real frames that belong to no metric shown."""
    names, accuracy = [metric.name for metric in results.metrics], results.data.oracle_accuracy
    return {
        "rows": table_rows(results.summary, results.table, results.metrics, accuracy),
        "other_oracles": {name: value for name, value in accuracy.items() if name not in names},
    }


def table_rows(
    summary: pd.DataFrame, table: pd.DataFrame, metrics: list[Metric], oracle: dict[str, float]
) -> list[dict]:
    """The content of the table, one row a metric."""
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


def interval_bar(values: pd.Series, row: Any, metric: Metric) -> dict | None:
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
