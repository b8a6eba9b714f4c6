"""The run of a benchmark: what it records when it starts, and how it is found again."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.entities import Run

from dreamvideo.base_models.loading import base_model_key
from dreamvideo.dataset.catalog import Catalog
from dreamvideo.errors import InputError
from dreamvideo.files import content_key, weights_key
from dreamvideo.params import Params
from dreamvideo.weights import read_schema
from flows.planning.plan import Plan
from flows.planning.selection import Selection
from flows.tracking.leases import live_run
from flows.tracking.provenance import data_hash, git_commit, machine, software
from flows.tracking.records import Facts
from flows.tracking.schema import Kind, Tag, flatten
from flows.tracking.store import Record, Tracking


@contextmanager
def benchmark_run(
    tracking: Tracking, params: Params, catalog: Catalog, plan: Plan, selection: Selection, gate_run: str
) -> Iterator[Record]:
    """The run of a benchmark, with what it covers and how it is repeated.

    Args:
        tracking: where it is recorded.
        params: of the profile.
        catalog: of its data.
        plan: of the selection.
        selection: what the user asked for.
        gate_run: id of the run that checked the data.
    """
    subjects, motions = {cell.subject for cell in plan.cells}, {cell.motion for cell in plan.cells}
    name = f"{params.method}: {len(subjects)} subjects x {len(motions)} motions"
    tags: dict[str, str] = {
        Tag.PROFILE: params.profile,
        Tag.METHOD: params.method,
        Tag.DATA_HASH: data_hash(catalog),
        Tag.GATE_RUN: gate_run,
        Tag.GIT_COMMIT: git_commit(),
        Tag.COMMAND: selection.command(params.method, params.profile),
    }
    key = content_key([cell.key for cell in plan.cells])
    with live_run(tracking, Kind.BENCHMARK, name, key, tags) as record:
        record.params |= flatten(params.model_dump(include={"sampling", "benchmark", "data", "base_model"}))
        record.params |= {"method": params.method} | flatten(params.methods[params.method], "method.")
        yield record


def run_facts(params: Params) -> Facts:
    """The facts for a report that MLflow would not know later: where a run ran, and on which weights."""
    return Facts(
        notice=params.notice,
        base_model=f"{params.base_model.name}, weights {base_model_key(params.base_model)[:16]}",
        metric_encoders=f"{params.evaluation.encoders}, weights {weights_key(params.evaluation.weights)[:16]}",
        software=software(),
        machine=machine() | ({} if params.execution.runner == "local" else {"threads": "1 in every worker"}),
        oracle_accuracy=oracle_accuracy(params),
    )


def oracle_accuracy(params: Params) -> dict[str, float]:
    """The oracle's own scores on real frames, as its training left them in its weight file; empty without an oracle."""
    path = params.evaluation.weights / "oracle.safetensors"
    return read_schema(path).get("quality", {}) if path.exists() else {}


def latest_benchmark(tracking: Tracking) -> str:
    """The id of the newest finished benchmark.

    Raises:
        InputError: there is none.
    """
    runs = tracking.runs(Kind.BENCHMARK)
    if not runs:
        raise InputError("no finished benchmark in MLflow; run `dreamvideo benchmark run` first")
    return runs[0].info.run_id


def find_benchmark(tracking: Tracking, run_id: str) -> Run:
    """A benchmark's run.

    Raises:
        InputError: there is no such run, or it is of something else.
    """
    run = tracking.get(run_id)
    kind = run.data.tags.get(Tag.KIND, "run of another kind")
    if kind != Kind.BENCHMARK:
        raise InputError(
            f"run {run_id} is a {kind}, not a benchmark; `report build` without an id takes the newest benchmark"
        )
    return run
