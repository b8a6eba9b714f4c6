"""The benchmark: check the data, train what is missing, run every combination that is missing, report."""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from mlflow.entities import Run
from prefect import flow, task
from rich.text import Text

from dreamvideo.dataset.catalog import Catalog, load_catalog, verify_files
from dreamvideo.dataset.catalog_fields import CATALOG_NAME
from dreamvideo.files import content_key, sha256_file
from dreamvideo.params import Params
from flows.cells import run_cell_task
from flows.claims import shared
from flows.compare import benchmark_cells
from flows.composition import register_all
from flows.customize import train_adapter_task
from flows.evidence import policy_of
from flows.failures import stop_if_disk_is_full
from flows.plan import AdapterPlan, CellPlan, Plan, choose, plan_benchmark
from flows.progress import bar, console
from flows.promotion import propose
from flows.provenance import data_hash, git_commit
from flows.registration import record_scores
from flows.report import CELLS, FACTS, PARAMS, report_task, run_facts
from flows.tracking import GENERATION_KEY, KEY, Tracking, flatten
from flows.workbench import workbench

KIND, GATE = "benchmark", "gate"
GATE_REVISION = 1  # raise it when the expectations change


@dataclass(frozen=True)
class Request:
    """What a user asks a benchmark to cover; None stands for everything or for the profile's own value."""

    subjects: str | None = None
    motions: str | None = None
    prompts: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a benchmark."""

    run_id: str
    finished: int
    failed: int
    reused: int
    report: Path
    promotions: list[str]  # lines that say which challengers would pass, or have passed


def plan_request(params: Params, catalog: Catalog, request: Request) -> Plan:
    """The plan of a request."""
    return plan_benchmark(
        params,
        catalog,
        choose("subject", request.subjects, list(catalog.subjects)),
        choose("motion", request.motions, list(catalog.motions)),
        request.prompts or params.benchmark.prompts,
        params.benchmark.seed if request.seed is None else request.seed,
    )


def run_benchmark(params: Params, request: Request) -> Outcome:
    """Run the benchmark as a Prefect flow.

    Raises:
        InputError: bad parameters, names or data; nothing has been trained then.
    """
    catalog = load_catalog(params.data.root)
    plan_request(params, catalog, request)  # refuses bad names before anything starts
    if params.promotion:
        policy_of(params)
    with console.status("starting Prefect") as starting:
        started = benchmark_flow.with_options(on_running=[lambda *_: starting.stop()])
        return started(params.model_dump_json(), request)


@flow(name="benchmark", validate_parameters=False, log_prints=False)
def benchmark_flow(params_json: str, request: Request) -> Outcome:
    """Validate, train what is missing, run what is missing, aggregate, report."""
    params = Params.model_validate_json(params_json)
    tracking = Tracking(params.tracking)
    catalog = load_catalog(params.data.root)
    gate_run = validate_task(params_json)
    plan = plan_request(params, catalog, request)
    name = f"{params.method}: {len({c.subject for c in plan.cells})} subjects x {len({c.motion for c in plan.cells})} motions"
    tags = {
        "dreamvideo.profile": params.profile,
        "dreamvideo.method": params.method,
        "dreamvideo.data_hash": data_hash(catalog),
        "dreamvideo.gate_run": gate_run,
        "mlflow.source.git.commit": git_commit(),
        "dreamvideo.command": " ".join(["dreamvideo", *sys.argv[1:]]),
    }
    with tracking.run(KIND, name, content_key([cell.key for cell in plan.cells]), tags) as record:
        record.params |= flatten(params.model_dump(include={"sampling", "benchmark", "data", "base_model"}))
        record.params |= {"method": params.method} | flatten(params.methods[params.method], "method.")
        load_models(tracking, plan, params_json)
        adapters = train_missing(tracking, plan, params_json)
        registered = register_all(workbench(params_json), plan, adapters)
        cells, reused = run_missing(tracking, plan, adapters, params_json, record.run_id)
        _keep_for_report(tracking, record.run_id, params, plan, cells, reused)
        summary, path = report_task(params_json, record.run_id)
        record.metrics |= summary
        record_scores(tracking, record.run_id, benchmark_cells(tracking, record.run_id), registered)
        promotions = propose(params, tracking, [version.name for version in registered], record.run_id)
        failed = sum(run_id is None for run_id in cells.values())
        record.metrics |= {"cells": len(cells), "cells.failed": failed, "cells.reused": len(reused)}
    return Outcome(record.run_id, len(cells) - failed, failed, len(reused), Path(path), promotions)


def load_models(tracking: Tracking, plan: Plan, params_json: str) -> None:
    """Load the base model and the metric encoders if any cell is missing, so that nothing is trained that cannot be used.

    Raises:
        InputError: weights that are missing or do not fit.
    """
    if not {cell.key for cell in plan.cells} <= tracking.finished("cell").keys():
        bench = workbench(params_json)
        _ = bench.base, bench.suite


def train_missing(tracking: Tracking, plan: Plan, params_json: str) -> dict[str, str]:
    """Train the adapters that have no finished run; returns the run ids of all that there are then, by key."""
    finished = tracking.finished("adapter")
    wanted = {adapter.key: adapter for adapter in plan.adapters}
    missing = [adapter for key, adapter in wanted.items() if key not in finished]

    def train(adapter: AdapterPlan) -> bool:
        try:
            run_id = train_adapter_task(params_json, adapter)
        except Exception as error:  # its cells will fail for want of it; the others need not
            stop_if_disk_is_full(error)
            console.print(Text(f"failed: {adapter.kind} {adapter.name}: {error}", "red"))
        else:
            run_id = run_id or tracking.finished("adapter").get(adapter.key)
            if run_id is None:
                return False
            finished[adapter.key] = run_id
        return True

    with bar("adapters", len(wanted)) as line:
        line.at(len(wanted) - len(missing))
        shared(missing, train, line.step)
    return {key: finished[key] for key in wanted if key in finished}


def run_missing(
    tracking: Tracking, plan: Plan, adapters: dict[str, str], params_json: str, parent: str
) -> tuple[dict[str, str | None], set[str]]:
    """Run the cells that have no finished run.

    Returns:
        Run ids by key, None for a cell that failed; and the keys that were there already.
    """
    finished = {run.data.tags[KEY]: run for run in tracking.runs("cell")}
    made = tracking.finished("cell", by=GENERATION_KEY)
    runs: dict[str, str | None] = {}
    reused: set[str] = set()

    def run(cell: CellPlan) -> bool:
        if cell.key not in finished:
            try:
                run_id = run_cell_task(params_json, cell, adapters, parent, made.get(cell.generation_key))
            except Exception as error:  # a failed cell is a failed cell: recorded, counted, shown, tried again
                stop_if_disk_is_full(error)
                console.print(Text(f"failed: {cell.subject} x {cell.motion}: {error}", "red"))
                runs[cell.key] = None
                return True
            if run_id:
                runs[cell.key] = run_id
                return True
            # Another worker has it, or has just finished it.
            elsewhere = tracking.finished("cell").get(cell.key)
            if elsewhere is None:
                return False
            finished[cell.key] = tracking.get(elsewhere)
        runs[cell.key] = finished[cell.key].info.run_id
        reused.add(cell.key)
        _list_reused(tracking, cell, finished[cell.key], parent)
        return True

    with bar("combinations", len(plan.cells)) as line:
        shared(plan.cells, run, line.step)
    return runs, reused


def _list_reused(tracking: Tracking, cell: CellPlan, run: Run, parent: str) -> None:
    """A child of this benchmark that repeats the scores of a cell that was there, and says where its video is."""
    tags = {"dreamvideo.reused_from": run.info.run_id}
    with tracking.run("reused cell", f"{cell.subject} x {cell.motion}", cell.key, tags, parent) as record:
        record.metrics |= run.data.metrics
        record.params |= run.data.params


@task(name="validate-data")
def validate_task(params_json: str) -> str:
    """Hold the data against its expectations; returns the id of the run that keeps the result."""
    return validate_data(Params.model_validate_json(params_json))


def validate_data(params: Params) -> str:
    """The data gate. Data that passed is not examined again until it, or what is expected of it, changes.

    Raises:
        InputError: the first problem, naming file and remedy.
    """
    tracking, catalog = Tracking(params.tracking), load_catalog(params.data.root)
    verify_files(catalog)
    # The catalog's file holds the hashes of all others, which were just verified.
    key = content_key([sha256_file(catalog.root / CATALOG_NAME), params.data.model_dump(mode="json"), GATE_REVISION])
    finished = tracking.finished(GATE)
    if key in finished:
        return finished[key]
    from dreamvideo.dataset.expectations import Requirements, validate

    requirements = Requirements(
        params.data.subjects, params.data.motions, params.data.num_frames, params.data.fps, params.data.image_size
    )
    tags = {"dreamvideo.data_hash": data_hash(catalog), "dreamvideo.profile": params.profile}
    with console.status("checking the data"), tracking.run(GATE, "data gate", key, tags) as record:
        result = validate(catalog, requirements)
        record.metrics |= {"success": float(result.success), "problems": float(len(result.problems))}
        with tempfile.TemporaryDirectory() as folder:
            report, page = Path(folder) / "gate.json", Path(folder) / "gate.html"
            report.write_text(json.dumps(result.report, indent=1))
            page.write_text(result.html)
            tracking.attach(record.run_id, report, page)
        result.raise_for_problems()
    return record.run_id


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
