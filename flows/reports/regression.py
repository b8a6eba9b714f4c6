"""Did scores fall? A benchmark held against the newest before it that compares."""

from contextlib import suppress

import pandas as pd
from mlflow.entities import Run

from dreamvideo.errors import NotComparableError
from dreamvideo.params import Params
from evaluation.metrics import METRICS
from flows.reports.build import benchmark_run
from flows.reports.compare import compare_runs
from flows.tracking.store import Tracking

LIKE = ("dreamvideo.profile", "dreamvideo.method", "dreamvideo.data_hash")  # tags that both must share


def regression(params: Params, run_id: str) -> str | None:
    """What a benchmark scores lower than the newest one before it that compares, in words.

    That is one of the same profile and method, on the same data and encoders, with combinations in common: one that
    someone ran by hand with another seed does not come between two that do.

    Of the metrics that the policy of promotion names, one counts as fallen if it lost more than the policy accepts, and
    the whole interval of the loss lies below zero. Only combinations that both benchmarks have are compared.

    Args:
        params: of the profile.
        run_id: of a finished benchmark.

    Returns:
        A sentence; None where nothing fell, or where there is nothing to compare with.

    Raises:
        InputError: there is no such benchmark.
    """
    tracking = Tracking(params.tracking)
    found = _last_comparison(params, tracking, benchmark_run(tracking, run_id))
    if found is None or params.promotion is None:
        return None
    before, table = found
    table = table.set_index("metric").loc[list(params.promotion.margins)]
    fell = [
        f"{METRICS[row.Index].label} {row.first:.4f}, was {row.second:.4f} ({row.low:+.4f} to {row.high:+.4f})"
        for row in table.itertuples()
        if row.difference < -params.promotion.margins[row.Index] and row.high < 0
    ]
    return f"scores fell from benchmark {before} to {run_id}: {'; '.join(fell)}" if fell else None


def _last_comparison(params: Params, tracking: Tracking, run: Run) -> tuple[str, pd.DataFrame] | None:
    """The id of the newest finished benchmark before this one that compares with it, and the comparison."""
    for other in tracking.runs("benchmark"):
        alike = all(other.data.tags.get(tag) == run.data.tags.get(tag) for tag in LIKE)
        if alike and other.info.start_time < run.info.start_time:
            with suppress(NotComparableError):  # other encoders, no combination in common
                return other.info.run_id, compare_runs(params, run.info.run_id, other.info.run_id)
    return None
