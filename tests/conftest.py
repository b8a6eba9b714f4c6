import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

import dreamvideo  # noqa: F401 (lets torchvision be imported)

# Tests share two cores with whatever else runs; tiny nets gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
_scratch = tempfile.TemporaryDirectory(prefix="dreamvideo-tests-")


@pytest.fixture(scope="session")
def prefect_server():
    """One server of Prefect's for all the tests of a session that run flows."""
    from prefect.testing.utilities import prefect_test_harness

    import flows  # noqa: F401 (telemetry off)

    with prefect_test_harness(server_startup_timeout=120):
        yield


@cache
def empty_store() -> Path:
    """A database with MLflow's tables, to be copied: making them takes seconds, so it is done once a process."""
    import mlflow

    path = Path(_scratch.name) / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path
