"""Which run holds a score of a finished cell, and which metrics the cell lacks."""

import shutil

import pytest

from dreamvideo.params import TrackingParams
from flows.tracking.schema import FIRST_METRICS, Kind, Tag, revision_tags
from flows.tracking.scores import finished_cells
from flows.tracking.store import open_store
from tests.conftest import empty_store

FIRST = dict.fromkeys(FIRST_METRICS, 1)


@pytest.fixture
def tracking(tmp_path):
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    return open_store(TrackingParams(uri=uri, artifacts=tmp_path / "mlruns", experiment="scores"))


def test_scores_come_from_the_runs_of_the_revisions_that_are_asked_for(tracking):
    with tracking.run(Kind.CELL, "dog x square", "key", {}) as cell:
        cell.metrics |= {"clip_t": 0.1, "clip_i": 0.2, "seconds.score": 3.0}  # the others were NaN
    (found,) = finished_cells(tracking)
    assert found.lacking(FIRST) == [] and found.scores({}) == {"clip_t": 0.1, "clip_i": 0.2}
    wanted = FIRST | {"clip_t": 2, "new": 1}
    assert found.lacking(wanted) == ["clip_t", "new"]
    with tracking.run(Kind.SCORES, "scores", "more", {Tag.CELL_RUN: cell.run_id}) as more:
        more.metrics |= {"clip_t": 0.9}  # "new" was NaN
        more.tags |= revision_tags({"clip_t": 2, "new": 1})
    (found,) = finished_cells(tracking)
    assert found.lacking(wanted) == []
    assert found.added(wanted) == {"clip_t": more.run_id, "new": more.run_id} and found.added(FIRST) == {}
    assert found.scores(found.added(wanted)) == {"clip_t": 0.9, "clip_i": 0.2}
    assert found.scores(found.added(FIRST)) == {"clip_t": 0.1, "clip_i": 0.2}
