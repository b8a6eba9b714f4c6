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
from flows.tracking.leases import attended, shared
from flows.tracking.store import ARTIFACT, GENERATION_KEY, KEY, Tracking

REUSED = "reused cell"
# Of a cell that was there already, in its place in this benchmark: where its video is, and what else it says of itself.
VIDEO, REUSED_FROM = "dreamvideo.video", "dreamvideo.reused_from"
REPEATED = "dreamvideo.profile", "dreamvideo.data_hash", "mlflow.source.git.commit"


def load_models(tracking: Tracking, plan: Plan, params: Params) -> None:
    """Load the base model and the metric encoders if any cell is missing, so that nothing is trained that cannot be used.

    Raises:
        InputError: weights that are missing or do not fit.
    """
    if not {cell.key for cell in plan.cells} <= tracking.finished("cell").keys():
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
    finished = tracking.finished("adapter")
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
                elsewhere = tracking.find("adapter", adapter.key)
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
        shared(missing, attempt, line.step)
    return {key: finished[key] for key in wanted if key in finished}


def run_missing(
    tracking: Tracking, plan: Plan, adapters: dict[str, str], params: Params, parent: str
) -> tuple[dict[str, str | None], set[str]]:
    """Run the cells that have no finished run.

    Returns:
        Run ids by key, None for a cell that failed; and the keys that were there already.
    """
    finished = {run.data.tags[KEY]: run for run in tracking.runs("cell")}
    made = tracking.finished("cell", by=GENERATION_KEY)
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
        elsewhere = tracking.find("cell", cell.key)  # another worker has it, or has just finished it
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
        shared([cell for cell in plan.cells if cell.key not in finished], attempt, line.step)
    return runs, reused


def _list_reused(tracking: Tracking, cell: CellPlan, run: Run, parent: str) -> None:
    """A child of this benchmark that repeats what a cell that was there records, and says where its video is."""
    tags = {name: value for name, value in run.data.tags.items() if name in REPEATED}
    tags |= {REUSED_FROM: run.info.run_id, VIDEO: f"{run.info.artifact_uri}/{run.data.tags[ARTIFACT]}"}
    with attended(tracking, REUSED, f"{cell.subject} x {cell.motion}", cell.key, tags, parent) as record:
        record.metrics |= run.data.metrics
        record.params |= run.data.params
