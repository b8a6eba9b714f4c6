"""Make what a benchmark is missing: adapters, then cells. One that fails is told and counted, and the others go on."""

from collections.abc import Callable, Iterator

from mlflow.entities import Run
from prefect import task
from rich.text import Text

from dreamvideo.params import Params
from dreamvideo.roles import Role
from flows.execution.adapters import train_adapter_task
from flows.execution.cells import run_cell_task
from flows.execution.failures import stop_if_disk_is_full
from flows.execution.progress import bar, console
from flows.execution.resources import resources_for
from flows.execution.task_runners import overlapping_results, results
from flows.planning.keys import AdapterPlan, CellPlan
from flows.planning.plan import Plan
from flows.tracking.leases import live_run, share_work
from flows.tracking.records import CellRecord
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import Tracking

REPEATED = Tag.PROFILE, Tag.DATA_HASH, Tag.GIT_COMMIT  # what a reused cell repeats of the run that made it


def load_models(tracking: Tracking, plan: Plan, params: Params) -> None:
    """Load the base model and the metric encoders if any cell is missing, so that nothing is trained that cannot be used.

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
    """Load what every cell needs into the process of this task."""
    resources = resources_for(params_json)
    _ = resources.base, resources.suite


def train_missing(tracking: Tracking, plan: Plan, params: Params) -> dict[str, str]:
    """Train the adapters that have no finished run; returns the run ids of all that there are then, by key."""
    finished = tracking.finished(Kind.ADAPTER)
    wanted = {adapter.key: adapter for adapter in plan.adapters}
    missing = [adapter for key, adapter in wanted.items() if key not in finished]
    # Subjects last, since they take less time: then no worker waits for long at the end.
    missing.sort(key=lambda adapter: adapter.role is Role.SUBJECT)
    params_json = params.model_dump_json()

    def conclude(adapter: AdapterPlan, trained: Callable[[], str | None]) -> bool:
        try:
            run_id = trained()
        except Exception as error:  # its cells will fail for want of it; the others need not
            stop_if_disk_is_full(error)
            console.print(Text(f"failed: {adapter.role} {adapter.name}: {error}", "red"))
        else:
            if run_id is None:  # another worker has it, or has just finished it
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
    """Run the cells that have no finished run.

    Returns:
        What became of every cell of the plan.
    """
    finished = {run.data.tags[Tag.KEY]: run for run in tracking.runs(Kind.CELL)}
    made = tracking.finished(Kind.CELL, by=Tag.GENERATION_KEY)
    runs: dict[str, str | None] = {}
    reused: set[str] = set()
    params_json = params.model_dump_json()

    def reuse(cell: CellPlan, run: Run) -> None:
        runs[cell.key] = run.info.run_id
        reused.add(cell.key)
        _list_reused(tracking, cell, run, parent)

    def conclude(cell: CellPlan, run: Callable[[], str | None]) -> bool:
        try:
            run_id = run()
        except Exception as error:  # a failed cell is a failed cell: recorded, counted, shown, tried again
            stop_if_disk_is_full(error)
            console.print(Text(f"failed: {cell.subject} x {cell.motion}: {error}", "red"))
            runs[cell.key] = None
            return True
        if run_id:
            runs[cell.key] = run_id
            return True
        elsewhere = tracking.find(Kind.CELL, cell.key)  # another worker has it, or has just finished it
        if elsewhere:
            reuse(cell, elsewhere)
        return elsewhere is not None

    def attempt(cells: list[CellPlan]) -> Iterator[tuple[CellPlan, bool]]:
        given = overlapping_results(
            params.execution,
            run_cell_task,
            cells,
            lambda cell: (params_json, cell, adapters, parent, made.get(cell.generation_key)),
        )
        return ((cell, conclude(cell, run)) for cell, run in given)

    with bar("combinations", len(plan.cells)) as line:
        for cell in plan.cells:
            if cell.key in finished:
                reuse(cell, finished[cell.key])
                line.step()
        share_work([cell for cell in plan.cells if cell.key not in finished], attempt, line.step)
    return tuple(
        CellRecord(
            key=cell.key, subject=cell.subject, motion=cell.motion, prompt=cell.prompt, seed=cell.seed,
            run_id=runs[cell.key], reused=cell.key in reused,
        )
        for cell in plan.cells
    )  # fmt: skip


def _list_reused(tracking: Tracking, cell: CellPlan, run: Run, parent: str) -> None:
    """A child of this benchmark that repeats what a cell that was there records, and says where its video is."""
    tags = {name: value for name, value in run.data.tags.items() if name in REPEATED}
    tags |= {Tag.REUSED_FROM: run.info.run_id, Tag.VIDEO: f"{run.info.artifact_uri}/{run.data.tags[Tag.ARTIFACT]}"}
    with live_run(tracking, Kind.REUSED_CELL, f"{cell.subject} x {cell.motion}", cell.key, tags, parent) as record:
        record.metrics |= run.data.metrics
        record.params |= run.data.params
