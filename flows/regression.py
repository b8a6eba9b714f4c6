"""Did scores fall? A benchmark held against the one before it."""

from mlflow.entities import Run

from dreamvideo.errors import InputError
from dreamvideo.params import Params
from evaluation.metrics import METRICS
from flows.compare import compare_runs
from flows.report import benchmark_run
from flows.tracking import Tracking

LIKE = ("dreamvideo.profile", "dreamvideo.method")  # tags that both must share


def regression(params: Params, run_id: str) -> str | None:
    """What a benchmark scores lower than the one before it of the same profile and method, in words.

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
    before = _before(tracking, benchmark_run(tracking, run_id))
    if before is None or params.promotion is None:
        return None
    try:
        table = compare_runs(params, run_id, before).set_index("metric").loc[list(params.promotion.margins)]
    except InputError:  # other data, other encoders, no combination in common
        return None
    fell = [
        f"{METRICS[row.Index].label} {row.first:.4f}, was {row.second:.4f} ({row.low:+.4f} to {row.high:+.4f})"
        for row in table.itertuples()
        if row.difference < -params.promotion.margins[row.Index] and row.high < 0
    ]
    return f"scores fell from benchmark {before} to {run_id}: {'; '.join(fell)}" if fell else None


def _before(tracking: Tracking, run: Run) -> str | None:
    """The id of the newest finished benchmark that began before this one, of the same profile and method."""
    for other in tracking.runs("benchmark"):
        alike = all(other.data.tags.get(tag) == run.data.tags.get(tag) for tag in LIKE)
        if alike and other.info.start_time < run.info.start_time:
            return other.info.run_id
    return None
