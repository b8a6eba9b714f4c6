"""Write a benchmark as a folder of Markdown, tables and pictures, to be committed or served as it is."""

import random
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader

import evaluation.report
from dreamvideo.errors import InputError
from dreamvideo.files import replacing_folder
from dreamvideo.params import Params
from evaluation.report.data import CellResult, ReportData, cell_table
from evaluation.report.pictures import Shown, animation, contact_sheet, heat_map_picture
from evaluation.report.results import shown_metrics
from evaluation.report.sections.heat_map import heat_map
from evaluation.report.sections.scores import table_rows
from evaluation.statistics import summarise
from flows.reports.benchmark_run import find_benchmark
from flows.reports.build import report_data
from flows.reports.compare import compare_runs
from flows.tracking.schema import Tag
from flows.tracking.store import Tracking, open_store

BEST, RANDOM = 6, 30
CELLS = "cells.csv"


def publish(params: Params, run_id: str, against: str | None, out: Path) -> None:
    """Write README.md, tables, heat maps, a contact sheet of random combinations and animations of the best.

    Args:
        params: of the profile.
        run_id: of a benchmark.
        against: id of another benchmark to compare with, if any.
        out: a folder; earlier results in it are replaced as a whole.

    Raises:
        InputError: a run is unknown, the two do not compare, no combination finished, or the folder holds something else.
    """
    if out.exists() and not (out / CELLS).exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: holds something else than published results; name a new folder")
    tracking = open_store(params.tracking)
    data = report_data(params, tracking, run_id)
    comparison = compare_runs(params, run_id, against) if against else None
    cells = data.ordered_cells()
    finished = [cell for cell in cells if cell.video]
    if not finished:
        raise InputError(
            f"run {run_id}: no combination finished, so there is nothing to publish; run the benchmark again"
        )
    metrics = shown_metrics(cells)
    names = [metric.name for metric in metrics]
    table = cell_table(cells, names)
    summary = summarise(table, names, params.evaluation.bootstrap_resamples)
    best = [_shown(data, cell) for cell in best_cells(finished, table, metrics)]
    sample = random.Random(0).sample(finished, min(RANDOM, len(finished)))
    content = {
        "data": data,
        "counts": {"cells": len(cells), "finished": len(finished), "failed": len(cells) - len(finished)},
        "rows": table_rows(summary, table, metrics, data.oracle_accuracy),
        "comparison": comparison,
        "method": _method(tracking, run_id),
        "against": _method(tracking, against) if against else "",
        "labels": {metric.name: metric.label for metric in metrics},
        "best": best,
        "sample": len(sample),
        "maps": [metric.name for metric in metrics if table[metric.name].notna().any()],
    }
    subjects, motions = list(data.subjects), list(data.motions)
    with replacing_folder(out) as folder:
        table.to_csv(folder / CELLS, index=False, float_format="%.6f")
        summary.to_csv(folder / "summary.csv", index=False)
        if comparison is not None:
            comparison.to_csv(folder / "comparison.csv", index=False)
        for metric in metrics:
            drawn = heat_map(table, metric, subjects, motions)
            heat_map_picture(drawn, subjects, motions, folder / f"heat-map-{metric.name}.svg")
        contact_sheet([_shown(data, cell) for cell in sample], folder / "random.webp")
        for place, one in enumerate(best, start=1):
            animation(one, folder / f"best-{place}.webp")
        (folder / "README.md").write_text(_page(content))


def best_cells(finished: list[CellResult], table: pd.DataFrame, metrics: list) -> list[CellResult]:
    """The cells with the highest mean rank over all metrics where higher is better; each subject and motion at most once."""
    names = [metric.name for metric in metrics if metric.higher_is_better]
    ranks = table.loc[table["status"] == "finished", names].rank(pct=True).mean(axis=1)
    chosen: list[CellResult] = []
    for place in ranks.sort_values(ascending=False, kind="stable").index:
        cell = next(one for one in finished if _place(one) == _place(table.loc[place]))
        if len(chosen) < BEST and not any(cell.subject == o.subject or cell.motion == o.motion for o in chosen):
            chosen.append(cell)
    return chosen


def _place(cell: CellResult | pd.Series) -> tuple:
    return cell.subject, cell.motion, cell.prompt, cell.seed


def _shown(data: ReportData, cell: CellResult) -> Shown:
    _, references = data.subjects[cell.subject]
    _, clip = data.motions[cell.motion]
    assert cell.video is not None, "only finished cells are shown"
    return Shown(f"{cell.subject} x {cell.motion}: {cell.prompt}", references[0], clip, cell.video)


def _method(tracking: Tracking, run_id: str) -> str:
    return find_benchmark(tracking, run_id).data.tags[Tag.METHOD]


def _page(content: dict) -> str:
    folder = Path(evaluation.report.__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), trim_blocks=True, autoescape=True)
    return environment.get_template("results.md.j2").render(content)
