"""The benchmark: check the data, train what is missing, run every combination that is missing, report."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from prefect import flow

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.files import content_key
from dreamvideo.params import Params
from flows.execution.adapters import KIND as ADAPTER
from flows.execution.cells import KIND as CELL
from flows.execution.data_gate import KIND as GATE
from flows.execution.data_gate import gate_task
from flows.execution.failures import stop_if_disk_is_full
from flows.execution.progress import console
from flows.execution.resources import resources_for
from flows.execution.scheduling import REUSED, load_models, run_missing, train_missing
from flows.execution.task_runners import one_server, task_runner
from flows.planning.plan import Plan, plan_selection
from flows.planning.selection import Selection
from flows.registry.comparison import policy_of
from flows.registry.promotion import Proposal, propose
from flows.registry.serving import KIND as COMPOSITION
from flows.registry.serving import register_all
from flows.registry.versions import record_scores
from flows.reports.build import CELLS, FACTS, PARAMS, report_task, run_facts
from flows.reports.compare import benchmark_cells
from flows.tracking.leases import attended, end_abandoned
from flows.tracking.provenance import data_hash, git_commit
from flows.tracking.store import Tracking, flatten

KIND = "benchmark"

starting = console.status("starting Prefect")  # until the flow runs


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
        InputError: bad parameters, names or data, and nothing has been trained then; or the disk is full.
        ConflictError: another benchmark took this one for lost, and has ended its run; what it made is kept.
    """
    catalog = load_catalog(params.data.root)
    plan_selection(params, catalog, selection)  # refuses bad names before anything starts
    if params.promotion:
        policy_of(params)
    run = benchmark_flow.with_options(task_runner=task_runner(params.execution))
    try:
        with starting, one_server():
            return run(params.model_dump_json(), selection)
    except Exception as error:
        stop_if_disk_is_full(error)
        raise


@flow(name="benchmark", validate_parameters=False, log_prints=False)
def benchmark_flow(params_json: str, selection: Selection) -> Outcome:
    """Validate, train what is missing, run what is missing, aggregate, report."""
    # Ray carries a flow's function to its workers by value, and all that it names with it: it names one function.
    return _benchmark(params_json, selection)


def _benchmark(params_json: str, selection: Selection) -> Outcome:
    starting.stop()
    params = Params.model_validate_json(params_json)
    tracking = Tracking(params.tracking)
    catalog = load_catalog(params.data.root)
    gate_run = gate_task(params_json)
    plan = plan_selection(params, catalog, selection)
    name = f"{params.method}: {len({c.subject for c in plan.cells})} subjects x {len({c.motion for c in plan.cells})} motions"
    tags = {
        "dreamvideo.profile": params.profile,
        "dreamvideo.method": params.method,
        "dreamvideo.data_hash": data_hash(catalog),
        "dreamvideo.gate_run": gate_run,
        "mlflow.source.git.commit": git_commit(),
        "dreamvideo.command": selection.command(params.method, params.profile),
    }
    for kind in (KIND, ADAPTER, CELL, REUSED, GATE, COMPOSITION):
        end_abandoned(tracking, kind)
    with attended(tracking, KIND, name, content_key([cell.key for cell in plan.cells]), tags) as record:
        record.params |= flatten(params.model_dump(include={"sampling", "benchmark", "data", "base_model"}))
        record.params |= {"method": params.method} | flatten(params.methods[params.method], "method.")
        load_models(tracking, plan, params)
        adapters = train_missing(tracking, plan, params)
        registered = register_all(resources_for(params_json), plan, adapters)
        cells, there = run_missing(tracking, plan, adapters, params, record.run_id)
        _keep_for_report(tracking, record.run_id, params, plan, cells, there)
        summary, path = report_task(params_json, record.run_id)
        record.metrics |= summary
        record_scores(tracking, record.run_id, benchmark_cells(tracking, record.run_id), registered)
        proposals = propose(params, tracking, [version.name for version in registered], record.run_id)
    # As the report found them, for a video may be damaged.
    failed, reused = int(summary["cells.failed"]), int(summary["cells.reused"])
    return Outcome(record.run_id, len(cells) - failed, failed, reused, Path(path), proposals)


def _keep_for_report(
    tracking: Tracking, run_id: str, params: Params, plan: Plan, cells: dict[str, str | None], reused: set[str]
) -> None:
    """Store which cell has which run, and the parameters, so that a report can be built again from MLflow alone."""
    rows = [
        {
            "key": cell.key, "subject": cell.subject, "motion": cell.motion, "prompt": cell.prompt, "seed": cell.seed,
            "run_id": cells[cell.key], "reused": cell.key in reused,
        }
        for cell in plan.cells
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        table, used, facts = Path(folder) / CELLS, Path(folder) / PARAMS, Path(folder) / FACTS
        table.write_text(json.dumps(rows, indent=1))
        content = params.model_dump(mode="json") | {"methods": {params.method: params.methods[params.method]}}
        used.write_text(yaml.safe_dump(content, sort_keys=False))
        facts.write_text(json.dumps(run_facts(params), indent=1))
        tracking.attach(run_id, table, used, facts)
