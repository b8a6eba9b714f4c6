"""A benchmark on a real disk that fills up."""

import shutil
import subprocess

import pytest

from benchmarks.chaos import store
from dreamvideo.errors import DiskFullError
from dreamvideo.params import load_params
from flows.benchmark import run_benchmark
from flows.execution.failures import stop_if_disk_is_full
from flows.planning.selection import Selection
from flows.reports import build as report
from flows.tracking.schema import Kind
from flows.tracking.store import open_store
from tests.conftest import empty_store
from tests.integration.conftest import MOTIONS, SUBJECTS, write_params

FULL, ENOUGH = "size=2900k", "size=64m"  # the database, and one motion adapter; everything


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", ENOUGH, "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_the_benchmark_and_loses_nothing(disk, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(empty_store(), disk / "mlflow.db")
    tracking = store(disk)
    subprocess.run(["mount", "-o", f"remount,{FULL}", str(disk)], check=True)
    write_params(
        tmp_path, tracking__uri=tracking.uri, tracking__artifacts=str(disk / "mlruns"), data__root=str(dataset)
    )
    with pytest.raises(DiskFullError):
        run_benchmark(load_params(), Selection())
    kept = set(open_store(load_params().tracking).finished(Kind.ADAPTER).values())
    assert kept
    subprocess.run(["mount", "-o", f"remount,{ENOUGH}", str(disk)], check=True)
    outcome = run_benchmark(load_params(), Selection())
    assert (outcome.finished, outcome.failed) == (len(SUBJECTS) * len(MOTIONS), 0)
    found = open_store(load_params().tracking)
    assert kept < set(found.finished(Kind.ADAPTER).values())
    assert len(found.runs(Kind.ADAPTER)) == len(SUBJECTS) + len(MOTIONS)
    for run_id in (*found.finished(Kind.ADAPTER).values(), *found.finished(Kind.CELL).values()):
        found.artifacts.fetch(run_id)  # raises if it is damaged


def test_a_report_that_does_not_fit_stops_the_benchmark_and_is_whole_or_absent(disk, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, data__root=str(dataset))
    monkeypatch.setattr(report, "FOLDER", disk)
    subprocess.run(["mount", "-o", "remount,size=16k", str(disk)], check=True)
    with pytest.raises(DiskFullError):
        run_benchmark(load_params(), Selection())
    assert not [path for path in disk.rglob("*") if path.is_file()]
    subprocess.run(["mount", "-o", f"remount,{ENOUGH}", str(disk)], check=True)
    outcome = run_benchmark(load_params(), Selection())
    assert (outcome.reused, outcome.failed) == (len(SUBJECTS) * len(MOTIONS), 0) and outcome.report.is_relative_to(disk)


def test_other_failures_are_of_one_piece_of_work():
    stop_if_disk_is_full(RuntimeError("out of memory"))


def test_a_failure_that_came_of_itself_is_looked_through_once():
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    stop_if_disk_is_full(first)
