"""The file of a local store: created once by processes that race for it, and refused where it is none."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dreamvideo.errors import DamagedError, InputError
from dreamvideo.params import TrackingParams
from flows.tracking.database import prepare_database
from flows.tracking.store import open_store
from tests.conftest import empty_store

RACE = """
import sys
from dreamvideo.params import TrackingParams
from flows.tracking.store import open_store
print("ready", flush=True)
sys.stdin.readline()
open_store(TrackingParams(uri="sqlite:///mlflow.db", artifacts="mlruns", experiment="race"))
"""


def tables(path: Path) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()


def test_processes_that_race_for_a_fresh_store_all_get_a_whole_one(tmp_path):
    root = str(Path(__file__).resolve().parents[4])
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE], cwd=tmp_path, env={"PYTHONPATH": root, "HOME": str(tmp_path)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        assert racer.communicate(timeout=300)[1] == "" and racer.returncode == 0
    assert tables(tmp_path / "mlflow.db") == tables(empty_store())
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM experiments ORDER BY name")]
    assert names == ["Default", "race"]


def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "mlflow.db"
    path.touch()
    prepare_database(f"sqlite:///{path}")
    assert tables(path) == tables(empty_store())


def damaged(path: Path) -> None:
    shutil.copyfile(empty_store(), path)
    content = bytearray(path.read_bytes())
    content[:64] = b"x" * 64
    path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(empty_store().read_bytes()[:5000])


def half_created(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        database.commit()


@pytest.mark.parametrize("spoil", [damaged, truncated, half_created])
def test_a_file_that_is_no_whole_store_is_refused_and_stays(tmp_path, spoil):
    path = tmp_path / "mlflow.db"
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(DamagedError, match=str(path)):
        prepare_database(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_store_of_a_newer_mlflow_is_refused_and_stays(tmp_path):
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_store(), path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    before = path.read_bytes()
    with pytest.raises(InputError, match=str(path)):
        prepare_database(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_place_that_cannot_hold_a_store_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent" / "mlflow.db"):
        with pytest.raises(InputError, match=str(path)):
            prepare_database(f"sqlite:///{path}")


def test_a_deleted_experiment_is_refused_with_the_command_that_restores_it(tmp_path):
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_store(), path)
    params = TrackingParams(uri=f"sqlite:///{path}", artifacts=tmp_path / "mlruns", experiment="gone")
    tracking = open_store(params)
    tracking.client.delete_experiment(tracking.experiment)
    with pytest.raises(InputError, match=f"--experiment-id {tracking.experiment}`"):
        open_store(params)


HALF_WRITTEN = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 1")  # so that changes reach the file before they are committed
database.execute("UPDATE experiments SET name = 'x' || name")
for number in range(2000):
    database.execute("INSERT INTO experiment_tags VALUES (?, 'value', 0)", (f"key {number}",))
os._exit(1)
"""


def test_what_a_killed_process_left_half_written_is_undone(tmp_path):
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_store(), path)
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(path)], check=False)
    assert path.with_name("mlflow.db-journal").exists()
    prepare_database(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM experiments").fetchall() == [("Default",)]
