"""Compare a benchmark with the newest one before it, to see whether scores fell."""

from contextlib import suppress
from dataclasses import dataclass

import pandas as pd
from mlflow.entities import Run

from dreamvideo.errors import NotComparableError
from dreamvideo.params import Params
from evaluation.metrics import METRICS
from flows.reports.benchmark_run import find_benchmark
from flows.reports.compare import compare_runs
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import Tracking, open_store

LIKE = (Tag.PROFILE, Tag.METHOD, Tag.DATA_HASH)  # tags that both must share


@dataclass(frozen=True)
class Fall:
    """A metric that fell: its means over the shared cells, and the 95% interval of the difference."""

    metric: str
    now: float
    before: float
    low: float
    high: float


@dataclass(frozen=True)
class Regression:
    """A benchmark that scores lower than an earlier one."""

    before: str  # MLflow run of the earlier benchmark
    run_id: str
    falls: tuple[Fall, ...]

    def __str__(self) -> str:
        fell = (
            f"{METRICS[one.metric].label} {one.now:.4f}, was {one.before:.4f} ({one.low:+.4f} to {one.high:+.4f})"
            for one in self.falls
        )
        return f"scores fell from benchmark {self.before} to {self.run_id}: {'; '.join(fell)}"


def regression(params: Params, run_id: str) -> Regression | None:
    """Compare a benchmark with the newest one before it that compares.

    That is one of the same profile and method, on the same data and encoders, with combinations in common. A benchmark
    that someone ran by hand with another seed does not come between two that compare.

    A metric of the promotion policy fell if it lost more than the policy accepts, and the whole interval of the
    difference lies below zero. Only combinations that both benchmarks have count.

    Args:
        params: of the profile.
        run_id: of a finished benchmark.

    Returns:
        What fell; None if nothing fell, or if there is no benchmark to compare with.

    Raises:
        InputError: there is no such benchmark.
    """
    tracking = open_store(params.tracking)
    found = _last_comparison(params, tracking, find_benchmark(tracking, run_id))
    if found is None or params.promotion is None:
        return None
    before, table = found
    table = table.set_index("metric").loc[list(params.promotion.margins)]
    falls = tuple(
        Fall(row.Index, row.first, row.second, row.low, row.high)
        for row in table.itertuples()
        if row.difference < -params.promotion.margins[row.Index] and row.high < 0
    )
    return Regression(before, run_id, falls) if falls else None


def _last_comparison(params: Params, tracking: Tracking, run: Run) -> tuple[str, pd.DataFrame] | None:
    """The id of the newest finished benchmark before this one that compares with it, and the comparison."""
    for other in tracking.runs(Kind.BENCHMARK):
        alike = all(other.data.tags.get(tag) == run.data.tags.get(tag) for tag in LIKE)
        if alike and other.info.start_time < run.info.start_time:
            with suppress(NotComparableError):  # other encoders, no combination in common
                return other.info.run_id, compare_runs(params, run.info.run_id, other.info.run_id)
    return None
