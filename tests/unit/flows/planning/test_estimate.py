"""Estimates where nothing was measured: the pocket base has rates of a reference machine, other bases have none."""

import shutil
from math import isnan

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
    found = estimate(unmeasured, Selection())
    identities = found.work[0]
    assert (identities.wanted, identities.missing, identities.seconds_each) == (3, 3, 43.0)
    assert found.seconds == pytest.approx(3 * 43.0 + 2 * 93.0 + 6 * 4.3) and not found.measured_here
    assert found.bytes == pytest.approx(3 * 2.1e5 + 2 * 1.7e6 + 6 * 1.7e4)


@pytest.mark.parametrize(
    ("execution", "workers"),
    [
        (ExecutionParams(runner="ray", workers=2), 2),
        (ExecutionParams(runner="processes", workers=2), 2),
        (ExecutionParams(runner="local", workers=2), 1),
        (ExecutionParams(runner="ray", workers=2, address="head:6379"), 1),
    ],
)
def test_workers_share_the_work_where_their_number_is_known(unmeasured, execution, workers):
    alone = estimate(unmeasured, Selection())
    found = estimate(unmeasured.model_copy(update={"execution": execution}), Selection())
    assert found.workers == workers and found.seconds == pytest.approx(alone.seconds / workers)


def test_of_another_base_model_nothing_is_invented(unmeasured):
    found = estimate(changed(unmeasured, "base_model", name="modelscope"), Selection())
    assert isnan(found.work[0].seconds_each) and isnan(found.seconds) and isnan(found.bytes)
