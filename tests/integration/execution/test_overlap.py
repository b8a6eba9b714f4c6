"""Videos that are saved, scored and logged while the next one is sampled."""

import shutil
import threading

from dreamvideo.files import sha256_file
from dreamvideo.params import load_params
from evaluation.suite import Suite
from flows.benchmark import run_benchmark
from flows.execution import cells
from flows.planning.estimate import estimate
from flows.planning.selection import Selection
from flows.tracking.schema import Kind, Tag, scores_of
from flows.tracking.store import open_store
from tests.conftest import empty_store
from tests.integration.conftest import write_params

PATIENCE = 300  # seconds


def test_the_next_video_is_sampled_while_one_is_scored_and_nothing_else_changes(tmp_path, dataset, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(dataset)
    write_params(tmp_path)
    alone = run_benchmark(load_params(), Selection())
    expected = results()
    shutil.copyfile(empty_store(), tmp_path / "overlapped.db")
    write_params(tmp_path, execution__overlap=True, tracking__uri=f"sqlite:///{tmp_path}/overlapped.db")
    events, second = [], threading.Event()
    sample, score = cells.sample_video, Suite.score_video

    def sampled(resources, plan, *adapters):
        events.append(("begins", plan.key))
        if len(events) > 1:
            second.set()
        frames = sample(resources, plan, *adapters)
        events.append(("ends", plan.key))
        return frames

    def scored(*arguments):
        assert second.wait(PATIENCE)  # the first is scored when the second is being sampled
        return score(*arguments)

    monkeypatch.setattr(cells, "sample_video", sampled)
    monkeypatch.setattr(Suite, "score_video", scored)
    overlapped = run_benchmark(load_params(), Selection())
    assert (overlapped.finished, overlapped.failed) == (alone.finished, 0) == (4, 0)
    assert [name for name, _ in events] == ["begins", "ends"] * 4  # one at a time has the base model
    assert results() == expected
    assert estimate(load_params(), Selection(seed=1)).measured_here


def results():
    """The hash of every video and its scores, by key."""
    tracking = open_store(load_params().tracking)
    return {
        run.data.tags[Tag.KEY]: (
            sha256_file(tracking.artifacts.fetch(run.info.run_id)),
            scores_of(run.data.metrics),
        )
        for run in tracking.runs(Kind.CELL)
    }
