import os

import pytest

import dreamvideo  # noqa: F401 (lets torchvision be imported)

# Tests share two cores with whatever else runs; tiny nets gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def prefect_server():
    """One server of Prefect's for all the tests of a session that run flows."""
    from prefect.testing.utilities import prefect_test_harness

    import flows  # noqa: F401 (telemetry off)

    with prefect_test_harness(server_startup_timeout=120):
        yield
