"""Compare two benchmarks: the difference of every metric over the cells that both have."""

from dataclasses import asdict

import pandas as pd

from dreamvideo.errors import NotComparableError
from dreamvideo.params import Params
from evaluation.metrics import metric_names
from evaluation.statistics import CELL, paired_difference
from flows.reports.benchmark_run import find_benchmark
from flows.tracking.records import read_cells, read_facts
from flows.tracking.schema import Tag
from flows.tracking.scores import finished_cells
from flows.tracking.store import Tracking, open_store


def compare_runs(params: Params, first: str, second: str) -> pd.DataFrame:
    """The metrics of two benchmark runs, and the first minus the second, paired by subject, motion, prompt and seed.

    Args:
        params: of the profile.
        first: id of a benchmark's run.
        second: id of the run to compare with.

    Returns:
        One row a metric: ``metric``, ``first`` and ``second`` (means over the shared cells), ``difference`` with the
        interval ``low`` to ``high`` as of :func:`evaluation.statistics.paired_difference`, and ``cells``.

    Raises:
        InputError: a run is unknown or no benchmark.
        NotComparableError: the two differ in data, base model or metric encoders, or they share no
            finished cell.
    """
    tracking = open_store(params.tracking)
    runs = [find_benchmark(tracking, run_id) for run_id in (first, second)]
    bases = [
        {"data": run.data.tags[Tag.DATA_HASH]}
        | read_facts(tracking, run.info.run_id).model_dump(include={"base_model", "metric_encoders"})
        for run in runs
    ]
    for name, value in bases[0].items():
        if bases[1][name] != value:
            raise NotComparableError(
                f"the runs differ in their {name} ({value}; {bases[1][name]}), so their scores do not compare; "
                "run both benchmarks anew on the same"
            )
    tables = [benchmark_cells(tracking, run_id) for run_id in (first, second)]
    shared = tables[0].merge(tables[1], on=CELL, suffixes=(".first", ".second"))
    if shared.empty:
        raise NotComparableError(
            f"runs {first} and {second} share no finished combination of subject, motion, prompt and seed; "
            "run both benchmarks over the same ones"
        )
    rows = []
    for name in metric_names():
        one, other = (table[[*CELL, name]].rename(columns={name: "value"}) for table in tables)
        found = asdict(paired_difference(one, other, resamples=params.evaluation.bootstrap_resamples))
        both = shared[[f"{name}.first", f"{name}.second"]].dropna()
        rows.append((name, *both.mean(), found["mean"], found["low"], found["high"], found["n"]))
    return pd.DataFrame(rows, columns=["metric", "first", "second", "difference", "low", "high", "cells"])


def benchmark_cells(tracking: Tracking, run_id: str) -> pd.DataFrame:
    """The finished cells of a benchmark, with their scores."""
    finished = {cell.run_id: cell for cell in finished_cells(tracking)}
    rows = [(row, finished[row.run_id]) for row in read_cells(tracking, run_id) if row.run_id in finished]
    return pd.DataFrame(
        [row.model_dump(include=set(CELL)) | cell.scores(row.scores) for row, cell in rows],
        columns=[*CELL, *metric_names()],
    )
