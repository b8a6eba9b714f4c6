"""Build the report of a benchmark run from what MLflow keeps of it."""

import time
from pathlib import Path

from mlflow.entities import Run
from prefect import task

from dreamvideo.dataset.catalog import Catalog, load_catalog
from dreamvideo.errors import DamagedError
from dreamvideo.files import replacing
from dreamvideo.params import Params
from dreamvideo.roles import Role
from evaluation.report.build import build_report
from evaluation.report.data import CellResult, ReportData
from evaluation.suite import class_prompt
from flows.execution.progress import bar
from flows.reports.benchmark_run import find_benchmark
from flows.tracking.provenance import data_hash
from flows.tracking.records import CellRecord, Facts, read_cells, read_facts
from flows.tracking.schema import Artifact, Count, Figure, Kind, Tag, adapter_param, by_key, metric_over_cells, tagged
from flows.tracking.scores import FinishedCell, finished_cells
from flows.tracking.store import Tracking, open_store

FOLDER = Path("reports")


@task(name="report")
def report_task(params_json: str, run_id: str) -> tuple[dict[str, float], str]:
    """Build the report of a run; returns its summary as metrics, and where the file is."""
    summary, path = write_report(Params.model_validate_json(params_json), run_id)
    return summary, str(path)


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
    tracking = open_store(params.tracking)
    folder = FOLDER / run_id
    path, table = folder / "report.html", folder / "summary.csv"
    with bar("building the report"):
        data = report_data(params, tracking, run_id)
        summary = build_report(data, path, params.evaluation.bootstrap_resamples)
    with replacing(table) as temporary:
        summary.to_csv(temporary, index=False)
    tracking.artifacts.attach(run_id, path, table)
    return _as_metrics(summary) | _counts(data.cells), path


def report_data(params: Params, tracking: Tracking, run_id: str) -> ReportData:
    """What MLflow keeps of a benchmark, with the files of its subjects and motions.

    The videos are local copies, which are deleted together with ``tracking``.

    Raises:
        InputError: the run is unknown, or an artifact is missing or not what was stored.
    """
    catalog = load_catalog(params.data.root)
    run = find_benchmark(tracking, run_id)
    rows, facts = read_cells(tracking, run_id), read_facts(tracking, run_id)
    finished = {cell.run_id: cell for cell in finished_cells(tracking)}
    cells = [_cell(tracking, catalog, row, finished.get(row.run_id or "")) for row in rows]
    trained = _seconds_of_training(tracking, run, [finished[row.run_id].run for row in rows if row.run_id in finished])
    return ReportData(
        title="DreamVideo benchmark",
        profile=params.profile,
        notice=facts.notice,
        facts=_facts(run, facts, cells, trained, data_hash(catalog)),
        subjects={name: _subject(catalog, name) for name in dict.fromkeys(row.subject for row in rows)},
        motions={name: _motion(catalog, name) for name in dict.fromkeys(row.motion for row in rows)},
        cells=cells,
        oracle_accuracy=facts.oracle_accuracy,
        params_yaml=tracking.artifacts.download(run_id, Artifact.PARAMS).read_text(),
    )


def _cell(tracking: Tracking, catalog: Catalog, row: CellRecord, found: FinishedCell | None) -> CellResult:
    """One cell of a benchmark with what its run recorded."""
    identity = row.model_dump(include={"key", "subject", "motion", "seed", "reused"})
    identity["prompt"] = class_prompt(row.prompt, catalog.subject(row.subject).class_word)
    if found is None:
        return _failed(identity, _reason_of_failure(tracking, row.key))
    try:
        video = tracking.artifacts.reuse(found.run_id)
    except DamagedError as error:
        return _failed(identity, str(error))
    figures = found.run.data.metrics
    seconds = figures.get(Figure.SECONDS_GENERATING, 0.0) + figures.get(Figure.SECONDS_SCORING, 0.0)
    metrics = found.scores(row.scores)
    return CellResult(**identity, status="finished", reason="", metrics=metrics, video=video, seconds=seconds)


def _failed(identity: dict, reason: str) -> CellResult:
    identity = identity | {"reused": False}  # an earlier result that is damaged is not reused
    return CellResult(**identity, status="failed", reason=reason, metrics={}, video=None, seconds=0.0)


def _reason_of_failure(tracking: Tracking, key: str) -> str:
    """Why the newest run of a cell (to make it or to score it) failed."""
    failed: list[Run] = []
    for kind in (Kind.CELL, Kind.SCORES):
        condition = tagged(by_key(kind, key)) + " and attributes.status != 'FINISHED'"
        failed += tracking.client.search_runs([tracking.experiment], condition, max_results=1)
    if not failed:
        return "never ran"
    return max(failed, key=lambda run: run.info.start_time).data.tags.get(Tag.REASON, "no reason recorded")


def _subject(catalog: Catalog, name: str) -> tuple[str, list[Path]]:
    subject = catalog.subject(name)
    return subject.class_word, list(subject.images)


def _motion(catalog: Catalog, name: str) -> tuple[str, Path]:
    motion = catalog.motion(name)
    return motion.words, motion.clips[0].path


def _seconds_of_training(tracking: Tracking, run: Run, cells: list[Run]) -> float:
    """How long a benchmark trained the adapters of its cells, summed over workers. Reused adapters do not count."""
    used = {cell.data.params[adapter_param(role)] for cell in cells for role in Role}
    adapters = [other.info for other in tracking.runs(Kind.ADAPTER) if other.info.run_id in used]
    return sum((a.end_time - a.start_time) / 1000 for a in adapters if a.start_time >= run.info.start_time)


def _facts(
    run: Run, facts: Facts, cells: list[CellResult], trained: float, data_now: str
) -> list[tuple[str, str, str]]:
    """The facts that the report lists: command, versions, machine and time."""
    tags, started = run.data.tags, run.info.start_time / 1000
    data = tags.get(Tag.DATA_HASH, "")
    fresh = sum(cell.seconds for cell in cells if not cell.reused)
    rows = [
        ("Run", "command", tags.get(Tag.COMMAND, "")),
        ("Run", "MLflow run", run.info.run_id),
        ("Run", "method", tags.get(Tag.METHOD, "")),
        ("Run", "base model", facts.base_model),
        ("Run", "metric encoders", facts.metric_encoders),
        ("Run", "seeds", ", ".join(sorted({str(cell.seed) for cell in cells}))),
        ("Versions", "git commit", tags.get(Tag.GIT_COMMIT, "")),
        ("Versions", "DVC data hash", data),
        ("Versions", "references and clips shown", f"of data {data_now}, not the run's" if data_now != data else ""),
        ("Versions", "data gate", f"passed, MLflow run {tags.get(Tag.GATE_RUN, '')}"),
        *(("Software", name, value) for name, value in facts.software.items()),
        *(("Machine", name, value) for name, value in facts.machine.items()),
        ("Time", "started", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started))),
        ("Time", "training new adapters", f"{trained:.1f} s" if trained else ""),
        ("Time", "generating and scoring new cells", f"{fresh:.1f} s"),
    ]
    return [row for row in rows if row[2]]


def _as_metrics(summary) -> dict[str, float]:
    """The summary as MLflow metrics: the mean and the ends of its interval."""
    return {
        metric_over_cells(row.metric, end): float(getattr(row, end))
        for row in summary.itertuples()
        for end in ("mean", "low", "high")
    }


def _counts(cells: list[CellResult]) -> dict[str, float]:
    """The numbers of cells as MLflow metrics."""
    failed, reused = sum(cell.status == "failed" for cell in cells), sum(cell.reused for cell in cells)
    return {Count.CELLS: float(len(cells)), Count.FAILED: float(failed), Count.REUSED: float(reused)}
