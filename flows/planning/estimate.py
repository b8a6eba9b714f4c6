"""Estimate what a benchmark would do, how long it takes and what it stores, from the rates that this store holds."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from statistics import median

from mlflow.entities import Run

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.params import ExecutionParams, Params
from dreamvideo.roles import Role
from evaluation.metrics import metric_revisions
from flows.planning.plan import plan_selection
from flows.planning.selection import Selection
from flows.tracking.schema import Figure, Kind, Param, Tag
from flows.tracking.scores import finished_cells
from flows.tracking.store import open_store

# Seconds of the default method on this base model, until this store has its own measurements. Measured with two workers of
# one thread each on two idle cores of an AMD EPYC (Milan): benchmarks/demo.json. Other base models take hours instead of
# minutes, so they have no estimate before the first measurement.
MEASURED_MODEL = "pocket"
UNMEASURED = {"identity adapters": 43.0, "motion adapters": 93.0, "combinations": 4.3}
UNMEASURED_BYTES = {
    "identity adapters": 2.1e5,
    "motion adapters": 1.7e6,
    "combinations": 1.7e4,
    "videos to score again": 1.7e4,
}


@dataclass(frozen=True)
class Work:
    """One kind of work of a benchmark; what nobody has measured yet is NaN."""

    what: str
    wanted: int
    missing: int
    seconds_each: float
    bytes_each: float


@dataclass(frozen=True)
class Estimate:
    """What a benchmark would do, how long it should take, and what it stores."""

    work: tuple[Work, ...]
    workers: int
    measured_here: bool  # no rate comes from the reference machine

    @property
    def seconds(self) -> float:
        """The expected time without start and report; NaN where a rate is not known."""
        return sum(one.missing * one.seconds_each for one in self.work if one.missing) / self.workers

    @property
    def bytes(self) -> float:
        """The expected size of adapters and videos; NaN where a size is not known."""
        return sum(one.missing * one.bytes_each for one in self.work if one.missing)


def estimate(params: Params, selection: Selection) -> Estimate:
    """Estimate a benchmark from the rates that this tracking store holds."""
    tracking = open_store(params.tracking)
    plan = plan_selection(params, load_catalog(params.data.root), selection)
    finished = [cell for cell in finished_cells(tracking) if _is_of(cell.run, params.method)]
    adapter_runs = [run for run in tracking.runs(Kind.ADAPTER) if _is_of(run, params.method)]
    cell_runs = [cell.run for cell in finished]
    keys = {run.data.tags[Tag.KEY] for run in (*adapter_runs, *cell_runs)}
    videos = {run.data.tags.get(Tag.GENERATION_KEY) for run in cell_runs}
    wanted = {f"{role} adapters": {a.key for a in plan.adapters if a.role is role} for role in Role}
    to_score = {cell.key for cell in plan.cells if cell.generation_key in videos} - keys
    wanted |= {"combinations": {cell.key for cell in plan.cells} - to_score, "videos to score again": to_score}
    runs = {f"{role} adapters": [r for r in adapter_runs if r.data.tags[Tag.ROLE] == role] for role in Role}
    runs["combinations"] = [run for run in cell_runs if Param.VIDEO_OF not in run.data.params]
    rates = {what: _typical(found, _seconds) for what, found in runs.items()}
    if params.execution.overlap:  # a run then waits for its turn to sample; sampling alone takes the time
        rates["combinations"] = _typical(
            runs["combinations"], lambda run: run.data.metrics.get(Figure.SECONDS_GENERATING)
        )
    # Every video was scored when it was made. Scoring it with other encoders stores it again.
    scored = [run for run in cell_runs if Figure.SECONDS_SCORING in run.data.metrics]
    rates["videos to score again"] = _typical(scored, lambda run: run.data.metrics[Figure.SECONDS_SCORING])
    runs["videos to score again"] = runs["combinations"]
    known = params.base_model.name == MEASURED_MODEL
    work = []
    for what, all_keys in wanted.items():
        if all_keys:
            rate = rates[what]
            seconds = rate if rate is not None else UNMEASURED[what] if known else nan
            size = _typical(runs[what], _bytes) or (UNMEASURED_BYTES[what] if known else nan)
            work.append(Work(what, len(all_keys), len(all_keys - keys), seconds, size))
    measured = all(rates[one.what] is not None or not one.missing for one in work)
    lacking = {cell.key for cell in finished if cell.lacking(metric_revisions())} & {cell.key for cell in plan.cells}
    if lacking:  # its score alone is stored
        work.append(Work("metrics to add", len(lacking), len(lacking), rates["videos to score again"] or nan, 0.0))
    return Estimate(tuple(work), _workers(params.execution), measured)


def _is_of(run: Run, method: str) -> bool:
    return run.data.params.get(Param.METHOD) == method


def _workers(execution: ExecutionParams) -> int:
    """How many tasks run at once, if the profile says it. Only a cluster itself knows how many tasks it runs."""
    return 1 if execution.runner == "local" or execution.address else execution.workers


def _typical(runs: list[Run], figure: Callable[[Run], float | None]) -> float | None:
    """The median of a figure over the newest hundred runs; None if no run has it."""
    found = [value for run in runs[:100] if (value := figure(run)) is not None]
    return median(found) if found else None


def _seconds(run: Run) -> float:
    return (run.info.end_time - run.info.start_time) / 1000


def _bytes(run: Run) -> float | None:
    return run.data.metrics.get(Figure.BYTES)
