"""The benchmark: check the data, train what is missing, run every combination that is missing, report."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.params import Params
from flows.execution.data_gate import gate_task
from flows.execution.failures import stop_if_disk_is_full
from flows.execution.progress import console
from flows.execution.resources import resources_for
from flows.execution.scheduling import load_models, run_missing, train_missing
from flows.execution.task_runners import one_server, task_runner
from flows.planning.plan import plan_selection
from flows.planning.selection import Selection
from flows.registry.comparison import policy_of
from flows.registry.promotion import propose
from flows.registry.serving import register_all
from flows.registry.versions import record_scores
from flows.reports.benchmark_run import benchmark_run, run_facts
from flows.reports.build import report_task
from flows.reports.compare import benchmark_cells
from flows.tracking.leases import end_abandoned
from flows.tracking.records import Proposal, keep_record
from flows.tracking.schema import BENCHMARK_KINDS, Count
from flows.tracking.store import open_store


@dataclass(frozen=True)
class Outcome:
    """What became of a benchmark."""

    run_id: str
    finished: int
    failed: int
    reused: int
    report: Path
    proposals: list[Proposal]  # one for each challenger that the benchmark scored


def run_benchmark(params: Params, selection: Selection) -> Outcome:
    """Run the benchmark as a Prefect flow.

    Raises:
        InputError: bad parameters, names or data; nothing has been trained then.
        DiskFullError: the disk is full; finished results are kept.
        RunEndedError: another benchmark saw no sign of life of this one, and ended it. MLflow keeps finished results.
    """
    catalog = load_catalog(params.data.root)
    plan_selection(params, catalog, selection)  # refuses bad names before anything starts
    if params.keeps_registry:
        policy_of(params)
    run = benchmark_flow.with_options(task_runner=task_runner(params.execution))
    try:
        with ExitStack() as stack:
            with console.status("starting Prefect"):
                stack.enter_context(one_server())
            return run(params.model_dump_json(), selection)
    except Exception as error:
        stop_if_disk_is_full(error)
        raise


@flow(name="benchmark", validate_parameters=False, log_prints=False)
def benchmark_flow(params_json: str, selection: Selection) -> Outcome:
    """Validate, train what is missing, run what is missing, aggregate, report."""
    # Ray sends a flow's function to its workers by value, with everything that it names. So it names one function only.
    return _benchmark(params_json, selection)


def _benchmark(params_json: str, selection: Selection) -> Outcome:
    params = Params.model_validate_json(params_json)
    tracking, catalog = open_store(params.tracking), load_catalog(params.data.root)
    gate_run = gate_task(params_json)
    plan = plan_selection(params, catalog, selection)
    for kind in BENCHMARK_KINDS:
        end_abandoned(tracking, kind)
    with benchmark_run(tracking, params, catalog, plan, selection, gate_run) as record:
        load_models(tracking, plan, params)
        adapters = train_missing(tracking, plan, params)
        registered = register_all(resources_for(params_json), plan, adapters)
        cells = run_missing(tracking, plan, adapters, params, record.run_id)
        keep_record(tracking, record.run_id, params, cells, run_facts(params))
        summary, path = report_task(params_json, record.run_id)
        record.metrics |= summary
        record_scores(tracking, record.run_id, benchmark_cells(tracking, record.run_id), registered)
        proposals = propose(params, tracking, [version.name for version in registered], record.run_id)
    # As the report counted them, since it may have found a damaged video.
    failed, reused = int(summary[Count.FAILED]), int(summary[Count.REUSED])
    return Outcome(record.run_id, len(cells) - failed, failed, reused, Path(path), proposals)
