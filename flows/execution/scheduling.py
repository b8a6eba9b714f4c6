"""Make what a benchmark lacks: adapters, then cells. A failure is printed and counted, and the other work goes on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prefect import task
from rich.text import Text

from dreamvideo.errors import DamagedError
from dreamvideo.params import Params
from dreamvideo.roles import Role
from evaluation.metrics import metric_revisions
from flows.execution.adapters import train_adapter_task
from flows.execution.cells import run_cell_task
from flows.execution.failures import stop_if_disk_is_full
from flows.execution.progress import bar, console
from flows.execution.resources import resources_for
from flows.execution.scoring import score_cell_task, scores_key
from flows.execution.task_runners import overlapping_results, results
from flows.planning.keys import AdapterPlan, CellPlan
from flows.planning.plan import Plan
from flows.tracking.leases import live_run, share_work
from flows.tracking.records import CellRecord
from flows.tracking.schema import Kind, Tag
from flows.tracking.scores import FinishedCell, finished_cells
from flows.tracking.store import Tracking

REPEATED = Tag.PROFILE, Tag.DATA_HASH, Tag.GIT_COMMIT  # what a reused cell repeats of the run that made it


def load_models(tracking: Tracking, plan: Plan, params: Params) -> None:
    """Load the base model and the metric encoders if any cell is missing.

    If they cannot be loaded, the benchmark stops before it trains anything.

    Raises:
        InputError: weights that are missing or do not fit.
    """
    if not {cell.key for cell in plan.cells} <= tracking.finished(Kind.CELL).keys():
        with bar("loading the models"):
            for _, loaded in results(
                params.execution, load_models_task, [params.model_dump_json()], lambda one: (one,)
            ):
                loaded()


@task(name="load-models")
def load_models_task(params_json: str) -> None:
    """Load the models into the process of this task."""
    resources = resources_for(params_json)
    _ = resources.base, resources.suite


def train_missing(tracking: Tracking, plan: Plan, params: Params) -> dict[str, str]:
    """Train the adapters that have no finished run; returns the run ids of all trained adapters, by key."""
    finished = tracking.finished(Kind.ADAPTER)
    wanted = {adapter.key: adapter for adapter in plan.adapters}
    missing = [adapter for key, adapter in wanted.items() if key not in finished]
    # Subjects last, since they take less time: then no worker waits for long at the end.
    missing.sort(key=lambda adapter: adapter.role is Role.SUBJECT)
    params_json = params.model_dump_json()

    def conclude(adapter: AdapterPlan, trained: Callable[[], str | None]) -> bool:
        try:
            run_id = trained()
        except Exception as error:  # its own cells fail, and the others go on
            stop_if_disk_is_full(error)
            console.print(Text(f"failed: {adapter.role} {adapter.name}: {error}", "red"))
        else:
            if run_id is None:  # another worker holds the lease, or has just finished it
                elsewhere = tracking.find(Kind.ADAPTER, adapter.key)
                if elsewhere is None:
                    return False
                run_id = elsewhere.info.run_id
            finished[adapter.key] = run_id
        return True

    def attempt(adapters: list[AdapterPlan]) -> Iterator[tuple[AdapterPlan, bool]]:
        given = results(params.execution, train_adapter_task, adapters, lambda adapter: (params_json, adapter))
        return ((adapter, conclude(adapter, trained)) for adapter, trained in given)

    with bar("adapters", len(wanted)) as line:
        line.at(len(wanted) - len(missing))
        share_work(missing, attempt, line.step)
    return {key: finished[key] for key in wanted if key in finished}


def run_missing(
    tracking: Tracking, plan: Plan, adapters: dict[str, str], params: Params, parent: str
) -> tuple[CellRecord, ...]:
    """Run the cells that have no finished run, and score finished cells with the metrics that they lack.

    Args:
        tracking: where cells are recorded.
        plan: of the benchmark.
        adapters: run ids of the trained adapters, by key.
        params: of the profile.
        parent: id of the benchmark's run.

    Returns:
        The outcome of every cell of the plan. A cell that lacks a score has failed.
    """
    finished = {cell.key: cell for cell in finished_cells(tracking)}
    cells = _Cells(tracking, adapters, params, parent, finished)
    with bar("combinations", len(plan.cells)) as line:
        unscored, missing = [], []
        for cell in plan.cells:
            if cell.key not in finished:
                missing.append(cell)
            elif finished[cell.key].lacking(cells.revisions):
                unscored.append(cell)
            else:
                cells.reuse(cell, finished[cell.key])
                line.step()
        share_work(unscored, cells.score, line.step)
        share_work([*missing, *cells.damaged], cells.run, lambda: line.at(len(cells.records)))
    return tuple(cells.records[cell.key] for cell in plan.cells)


@dataclass
class _Cells:
    """The cells of a benchmark under way, and what became of each."""

    tracking: Tracking
    adapters: dict[str, str]  # run ids by key
    params: Params
    parent: str
    finished: dict[str, FinishedCell]  # by key, before the benchmark
    revisions: dict[str, int] = field(default_factory=metric_revisions)  # of the metrics
    records: dict[str, CellRecord] = field(default_factory=dict)  # by key
    damaged: list[CellPlan] = field(default_factory=list)  # finished before, but their videos cannot be scored

    def run(self, cells: list[CellPlan]) -> Iterator[tuple[CellPlan, bool]]:
        """Run cells; yields each with whether it is dealt with."""
        params_json = self.params.model_dump_json()
        videos = {cell.run.data.tags.get(Tag.GENERATION_KEY): cell.run_id for cell in self.finished.values()}

        def arguments(cell: CellPlan) -> tuple:
            return params_json, cell, self.adapters, self.parent, videos.get(cell.generation_key)

        for cell, result in overlapping_results(self.params.execution, run_cell_task, cells, arguments):
            run_id, error = _ended(result)
            if error:
                self.fail(cell, error)
            elif run_id:
                self.record(cell, run_id)
            elif elsewhere := self.tracking.find(Kind.CELL, cell.key):  # another worker has finished it
                self.reuse(cell, FinishedCell(elsewhere))
            yield cell, cell.key in self.records

    def score(self, cells: list[CellPlan]) -> Iterator[tuple[CellPlan, bool]]:
        """Score finished cells with the metrics that they lack; yields each with whether it is dealt with."""
        params_json = self.params.model_dump_json()
        lacking = {cell.key: self.finished[cell.key].lacking(self.revisions) for cell in cells}

        def arguments(cell: CellPlan) -> tuple:
            return params_json, cell, self.finished[cell.key].run_id, lacking[cell.key], self.parent

        for cell, result in overlapping_results(self.params.execution, score_cell_task, cells, arguments):
            before, (_, error) = self.finished[cell.key], _ended(result)
            if isinstance(error, DamagedError):
                self.damaged.append(cell)
            elif error:
                self.fail(cell, error)
            elif run := self.tracking.find(Kind.SCORES, scores_key(cell, before.run_id, lacking[cell.key])):
                self.reuse(cell, FinishedCell(before.run, {run.info.run_id: run, **before.later}))
            yield cell, cell.key in self.records or cell in self.damaged

    def reuse(self, cell: CellPlan, found: FinishedCell) -> None:
        """Record a cell that an earlier benchmark or another worker has finished."""
        scores = found.added(self.revisions)
        self.record(cell, found.run_id, True, scores)
        _list_reused(self.tracking, cell, found, scores, self.parent)

    def fail(self, cell: CellPlan, error: Exception) -> None:
        """Record and print a failure; the next benchmark tries the cell again."""
        console.print(Text(f"failed: {cell.subject} x {cell.motion}: {error}", "red"))
        self.record(cell, None)

    def record(
        self, cell: CellPlan, run_id: str | None, reused: bool = False, scores: dict[str, str] | None = None
    ) -> None:
        """Record what became of a cell."""
        self.records[cell.key] = CellRecord(
            key=cell.key, subject=cell.subject, motion=cell.motion, prompt=cell.prompt, seed=cell.seed,
            run_id=run_id, reused=reused, scores=scores or {},
        )  # fmt: skip


def _ended(result: Callable[[], str | None]) -> tuple[str | None, Exception | None]:
    """What a task returned: the id of its run, or None if another worker holds the cell. Or the error that it raised."""
    try:
        return result(), None
    except Exception as error:  # a failed cell is shown, and the next benchmark tries it again; the others go on
        stop_if_disk_is_full(error)
        return None, error


def _list_reused(tracking: Tracking, cell: CellPlan, found: FinishedCell, scores: dict[str, str], parent: str) -> None:
    """A child of this benchmark that repeats the record of a reused cell, and says where its video is."""
    run = found.run
    tags = {name: value for name, value in run.data.tags.items() if name in REPEATED}
    tags |= {Tag.REUSED_FROM: run.info.run_id, Tag.VIDEO: f"{run.info.artifact_uri}/{run.data.tags[Tag.ARTIFACT]}"}
    with live_run(tracking, Kind.REUSED_CELL, f"{cell.subject} x {cell.motion}", cell.key, tags, parent) as record:
        record.metrics |= run.data.metrics | found.scores(scores)
        record.params |= run.data.params
