"""Build the report of a benchmark run from what MLflow keeps of it."""

import time
from pathlib import Path

from mlflow.entities import Run
from prefect import task

from dreamvideo.base_models.loading import base_model_key
from dreamvideo.dataset.catalog import Catalog, load_catalog
from dreamvideo.errors import DamagedError, InputError
from dreamvideo.files import replacing, weights_key
from dreamvideo.params import Params
from dreamvideo.weights import read_schema
from evaluation.report.build import build_report
from evaluation.report.data import CellResult, ReportData
from evaluation.suite import class_prompt
from flows.execution.progress import bar
from flows.tracking.provenance import data_hash, machine, software
from flows.tracking.reuse import reuse
from flows.tracking.store import KIND, REASON, Tracking, by_key, tagged

FOLDER = Path("reports")
# Artifacts of a benchmark's run: what a report is built from.
CELLS, PARAMS, FACTS = "cells.json", "params.yaml", "facts.json"


@task(name="report")
def report_task(params_json: str, run_id: str) -> tuple[dict[str, float], str]:
    """Build the report of a run; returns its summary as metrics, and where the file is."""
    summary, path = write_report(Params.model_validate_json(params_json), run_id)
    return summary, str(path)


def latest_benchmark(tracking: Tracking) -> str:
    """The id of the newest finished benchmark.

    Raises:
        InputError: there is none.
    """
    runs = tracking.runs("benchmark")
    if not runs:
        raise InputError("no finished benchmark in MLflow; run `dreamvideo benchmark run` first")
    return runs[0].info.run_id


def write_report(params: Params, run_id: str) -> tuple[dict[str, float], Path]:
    """Write ``reports/<run id>/report.html`` and summary.csv, and store both with the run.

    Args:
        params: of the profile.
        run_id: of a benchmark run.

    Returns:
        The summary and the numbers of cells as metrics, and the path of the report.

    Raises:
        InputError: the run is unknown, or an artifact is missing or not what was stored.
    """
    tracking = Tracking(params.tracking)
    folder = FOLDER / run_id
    path, table = folder / "report.html", folder / "summary.csv"
    with bar("building the report"):
        data = report_data(params, tracking, run_id)
        summary = build_report(data, path, params.evaluation.bootstrap_resamples)
    with replacing(table) as temporary:
        summary.to_csv(temporary, index=False)
    tracking.attach(run_id, path, table)
    return _as_metrics(summary) | _counts(data.cells), path


def report_data(params: Params, tracking: Tracking, run_id: str) -> ReportData:
    """What MLflow keeps of a benchmark, with the files of its subjects and motions.

    Videos may be where ``tracking`` has fetched them to, and are gone with it.

    Raises:
        InputError: the run is unknown, or an artifact is missing or not what was stored.
    """
    catalog = load_catalog(params.data.root)
    run = benchmark_run(tracking, run_id)
    rows, facts = tracking.read_json(run_id, CELLS), tracking.read_json(run_id, FACTS)
    runs = {cell.info.run_id: cell for cell in tracking.runs("cell")}
    cells = [_cell(tracking, catalog, row, runs.get(row["run_id"])) for row in rows]
    trained = _seconds_of_training(tracking, run, [runs[row["run_id"]] for row in rows if row["run_id"] in runs])
    return ReportData(
        title="DreamVideo benchmark",
        profile=params.profile,
        notice=facts["notice"],
        facts=_facts(run, facts, cells, trained, data_hash(catalog)),
        subjects={name: _subject(catalog, name) for name in dict.fromkeys(row["subject"] for row in rows)},
        motions={name: _motion(catalog, name) for name in dict.fromkeys(row["motion"] for row in rows)},
        cells=cells,
        oracle_accuracy=facts["oracle_accuracy"],
        params_yaml=tracking.download(run_id, PARAMS).read_text(),
    )


def benchmark_run(tracking: Tracking, run_id: str) -> Run:
    """A benchmark's run.

    Raises:
        InputError: there is no such run, or it is of something else.
    """
    run = tracking.get(run_id)
    kind = run.data.tags.get(KIND, "run of another kind")
    if kind != "benchmark":
        raise InputError(
            f"run {run_id} is a {kind}, not a benchmark; `report build` without an id takes the newest benchmark"
        )
    return run


def run_facts(params: Params) -> dict:
    """What a report says of a run that MLflow would not know later: where it ran, and on which weights."""
    return {
        "notice": params.notice,
        "base_model": f"{params.base_model.name}, weights {base_model_key(params.base_model)[:16]}",
        "metric_encoders": f"{params.evaluation.encoders}, weights {weights_key(params.evaluation.weights)[:16]}",
        "software": software(),
        "machine": machine() | ({} if params.execution.runner == "local" else {"threads": "1 in every worker"}),
        "oracle_accuracy": oracle_accuracy(params),
    }


def oracle_accuracy(params: Params) -> dict[str, float]:
    """The oracle's own scores on real frames, as its training left them in its weight file; empty without an oracle."""
    path = params.evaluation.weights / "oracle.safetensors"
    return read_schema(path).get("quality", {}) if path.exists() else {}


def _cell(tracking: Tracking, catalog: Catalog, row: dict, run: Run | None) -> CellResult:
    """One row of cells.json with what its run recorded."""
    identity = {name: row[name] for name in ("key", "subject", "motion", "seed", "reused")}
    identity["prompt"] = class_prompt(row["prompt"], catalog.subject(row["subject"]).class_word)
    if run is None:
        return _failed(identity, _reason_of_failure(tracking, row["key"]))
    try:
        video = reuse(tracking, row["run_id"])
    except DamagedError as error:
        return _failed(identity, str(error))
    seconds = run.data.metrics.get("seconds.generate", 0.0) + run.data.metrics.get("seconds.score", 0.0)
    metrics = {name: value for name, value in run.data.metrics.items() if "." not in name}  # no seconds, no bytes
    return CellResult(**identity, status="finished", reason="", metrics=metrics, video=video, seconds=seconds)


def _failed(identity: dict, reason: str) -> CellResult:
    identity = identity | {"reused": False}  # what was there is not what was recorded
    return CellResult(**identity, status="failed", reason=reason, metrics={}, video=None, seconds=0.0)


def _reason_of_failure(tracking: Tracking, key: str) -> str:
    """What the newest run under a key that did not finish failed of."""
    condition = tagged(by_key("cell", key)) + " and attributes.status != 'FINISHED'"
    found = tracking.client.search_runs([tracking.experiment], condition, max_results=1)
    return found[0].data.tags.get(REASON, "no reason recorded") if found else "never ran"


def _subject(catalog: Catalog, name: str) -> tuple[str, list[Path]]:
    subject = catalog.subject(name)
    return subject.class_word, list(subject.images)


def _motion(catalog: Catalog, name: str) -> tuple[str, Path]:
    motion = catalog.motion(name)
    return motion.words, motion.clips[0].path


def _seconds_of_training(tracking: Tracking, run: Run, cells: list[Run]) -> float:
    """How long a benchmark trained the adapters of its cells, summed over workers; what was there before is not counted."""
    used = {cell.data.params[kind] for cell in cells for kind in ("subject_adapter", "motion_adapter")}
    adapters = [other.info for other in tracking.runs("adapter") if other.info.run_id in used]
    return sum((a.end_time - a.start_time) / 1000 for a in adapters if a.start_time >= run.info.start_time)


def _facts(run: Run, facts: dict, cells: list[CellResult], trained: float, data_now: str) -> list[tuple[str, str, str]]:
    """What was run on what."""
    tags, started = run.data.tags, run.info.start_time / 1000
    data = tags.get("dreamvideo.data_hash", "")
    fresh = sum(cell.seconds for cell in cells if not cell.reused)
    rows = [
        ("Run", "command", tags.get("dreamvideo.command", "")),
        ("Run", "MLflow run", run.info.run_id),
        ("Run", "method", tags.get("dreamvideo.method", "")),
        ("Run", "base model", facts["base_model"]),
        ("Run", "metric encoders", facts["metric_encoders"]),
        ("Run", "seeds", ", ".join(sorted({str(cell.seed) for cell in cells}))),
        ("Versions", "git commit", tags.get("mlflow.source.git.commit", "")),
        ("Versions", "DVC data hash", data),
        ("Versions", "references and clips shown", f"of data {data_now}, not the run's" if data_now != data else ""),
        ("Versions", "data gate", f"passed, MLflow run {tags.get('dreamvideo.gate_run', '')}"),
        *(("Software", name, value) for name, value in facts["software"].items()),
        *(("Machine", name, value) for name, value in facts["machine"].items()),
        ("Time", "started", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started))),
        ("Time", "training new adapters", f"{trained:.1f} s" if trained else ""),
        ("Time", "generating and scoring new cells", f"{fresh:.1f} s"),
    ]
    return [row for row in rows if row[2]]


def _as_metrics(summary) -> dict[str, float]:
    """The summary as MLflow metrics: the mean and the ends of its interval."""
    return {
        f"{row.metric}.{end}": float(getattr(row, end))
        for row in summary.itertuples()
        for end in ("mean", "low", "high")
    }


def _counts(cells: list[CellResult]) -> dict[str, float]:
    """The numbers of cells as MLflow metrics."""
    failed, reused = sum(cell.status == "failed" for cell in cells), sum(cell.reused for cell in cells)
    return {"cells": float(len(cells)), "cells.failed": float(failed), "cells.reused": float(reused)}
