"""What is foretold where nothing was measured: a figure for the base model that was measured elsewhere, none for others."""

import shutil

import pytest

from dreamvideo.params import ExecutionParams
from flows.planning.estimate import estimate
from flows.planning.selection import Selection
from tests.conftest import empty_store
from tests.support.tiny_plans import changed


@pytest.fixture
def unmeasured(tmp_path, params, catalog):
    """Parameters of one worker, with a catalog of three subjects and two motions, and a store without a run."""
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    store = {"uri": f"sqlite:///{tmp_path}/mlflow.db", "artifacts": tmp_path / "mlruns"}
    alone = params.model_copy(update={"execution": ExecutionParams()})
    return changed(changed(alone, "tracking", **store), "data", root=catalog.root)


def test_the_base_model_that_was_measured_on_a_reference_machine_has_its_rates(unmeasured):
    lines = estimate(unmeasured, Selection())
    assert lines[0] == "identity adapters: 3, of which 0 cached and 3 to run at 43.0 s each"
    assert (
        lines[-2]
        == "expected time: 5.7 minutes (partly from a reference machine with two idle cores), besides starting and the report"
    )
    assert lines[-1] == "expected storage: 4.1 MB of adapters and videos"


def test_ray_shares_the_work_among_its_workers_where_their_number_is_known(unmeasured):
    for execution, minutes in (
        (ExecutionParams(runner="ray", workers=2), "2.8"),
        (ExecutionParams(runner="processes", workers=2), "2.8"),
        (ExecutionParams(runner="local", workers=2), "5.7"),
        (ExecutionParams(runner="ray", workers=2, address="head:6379"), "5.7"),
    ):
        lines = estimate(unmeasured.model_copy(update={"execution": execution}), Selection())
        assert lines[-2].startswith(f"expected time: {minutes} minutes")


def test_of_another_base_model_nothing_is_invented(unmeasured):
    lines = estimate(changed(unmeasured, "base_model", name="modelscope"), Selection())
    assert lines[0] == "identity adapters: 3, of which 0 cached and 3 to run, not measured yet on this machine"
    assert lines[-2:] == [
        "expected time: not measured yet on this machine",
        "expected storage: not measured yet on this machine",
    ]
