"""Whether scores fell from one benchmark to the next, on runs as a benchmark leaves them in MLflow."""

import shutil
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from dreamvideo.params import load_params
from evaluation.metrics import metric_names
from flows.reports.regression import regression
from flows.tracking.records import CellRecord, Facts, keep_record
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import open_store
from tests.conftest import empty_store

FACTS = Facts(notice="", base_model="one", metric_encoders="one", software={}, machine={}, oracle_accuracy={})
TAGS = {Tag.PROFILE: "pocket", Tag.METHOD: "dreamvideo", Tag.DATA_HASH: "a.dir"}


@pytest.fixture
def params(tmp_path):
    params = load_params(Path(__file__).resolve().parents[4] / "params.yaml")
    store = {"uri": f"sqlite:///{tmp_path}/mlflow.db", "artifacts": tmp_path / "mlruns"}
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    evaluation = params.evaluation.model_copy(update={"bootstrap_resamples": 500})
    update = {"tracking": params.tracking.model_copy(update=store), "evaluation": evaluation}
    return params.model_copy(update=update)


@pytest.fixture
def benchmark(params):
    """Record a benchmark of 4 x 4 combinations whose scores are shifted; returns its id."""
    tracking, noise = open_store(params.tracking), np.random.default_rng(0)
    spread, number = noise.normal(0, 0.01, (4, 4)), count()

    def record(facts=FACTS, tags=TAGS, seed=0, **shifts):
        rows = []
        for subject in range(4):
            for motion in range(4):
                key = f"cell {next(number)}"
                with tracking.run(Kind.CELL, key, key, {}) as cell:
                    cell.metrics = {name: 0.5 + shifts.get(name, 0) + spread[subject, motion] * (1 + shifts.get(name, 0))
                                    for name in metric_names()}  # fmt: skip
                row = {"key": key, "subject": str(subject), "motion": str(motion), "prompt": "a *", "seed": seed}
                rows.append(CellRecord(**row, run_id=cell.run_id, reused=False))
        with tracking.run(Kind.BENCHMARK, "benchmark", "key", tags) as run:
            keep_record(tracking, run.run_id, params, tuple(rows), facts)
        return run.run_id

    return record


def test_a_loss_beyond_the_margin_is_told_with_its_size(params, benchmark):
    before, after = benchmark(), benchmark(clip_t=-0.05, dino_i=-0.005)
    found = regression(params, after)
    assert (found.before, found.run_id) == (before, after)
    (fall,) = found.falls  # DINO-I stays within its margin
    figures = pytest.approx((0.4475, 0.4973, -0.0503, -0.0495), abs=1e-4)
    assert fall.metric == "clip_t" and (fall.now, fall.before, fall.low, fall.high) == figures
    assert regression(params, before) is None  # there is none before it


def test_equal_scores_and_gains_are_no_loss(params, benchmark):
    benchmark()
    assert regression(params, benchmark()) is None
    assert regression(params, benchmark(clip_t=0.2)) is None


def test_a_metric_that_cannot_be_worse_does_not_count(params, benchmark):
    benchmark()
    assert regression(params, benchmark(motion_magnitude=-0.4)) is None


def test_only_the_same_method_on_the_same_data_is_held_against(params, benchmark):
    first = benchmark()
    benchmark(tags=TAGS | {Tag.METHOD: "another"}, clip_t=0.4)
    fallen = benchmark(clip_t=-0.1)
    assert regression(params, fallen).before == first
    assert regression(params, benchmark(tags=TAGS | {Tag.DATA_HASH: "b.dir"}, clip_t=-0.3)) is None


def test_benchmarks_that_do_not_compare_are_passed_over(params, benchmark):
    before = benchmark()
    benchmark(seed=7, clip_t=-0.2)
    benchmark(facts=FACTS.model_copy(update={"metric_encoders": "another"}), clip_t=0.3)
    assert regression(params, benchmark(clip_t=-0.1)).before == before


def test_a_profile_without_a_policy_has_no_regressions(params, benchmark):
    benchmark()
    assert regression(params.model_copy(update={"promotion": None}), benchmark(clip_t=-0.2)) is None
