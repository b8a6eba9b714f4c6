"""The comparison of two versions, from the cells on a real MLflow store."""

import shutil
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

from dreamvideo.params import PromotionParams, TrackingParams, load_params
from flows.registry.comparison import compare_versions
from flows.tracking import store as tracking_module
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import open_store
from tests.conftest import empty_store

ROOT = Path(__file__).resolve().parents[4]
DOG = "identity.pocket.dog"
MOTIONS = ["circle", "square", "wave_up"]


def version(number: int) -> ModelVersion:
    return ModelVersion(DOG, str(number), 0, tags=[ModelVersionTag(Tag.KEY, f"key of {number}")])


@pytest.fixture
def tracking(tmp_path):
    """Cells of two versions, of which the second scores 0.1 higher."""
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    params = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "mlruns", experiment="evidence")
    tracking = open_store(params)
    for number in (1, 2):
        for motion in MOTIONS:
            tags = {
                Tag.SUBJECT_KEY: f"key of {number}",
                Tag.MOTION_KEY: motion,
                Tag.COMPOSITION_KEY: "one",
                Tag.SCORING_KEY: "one",
            }
            with tracking.run(Kind.CELL, f"dog x {motion}", f"{number}{motion}", tags) as record:
                record.params |= {"subject": "dog", "motion": motion, "prompt": "a *", "seed": 0}
                record.metrics["clip_t"] = 0.2 + 0.1 * number
    return tracking


def test_the_cells_of_a_version_count_however_many_pages_of_the_store_they_fill(tracking, monkeypatch):
    monkeypatch.setattr(tracking_module, "PAGE", 2)
    policy = PromotionParams(confidence=0.6, margins={"clip_t": 0.01})
    params = load_params(ROOT / "params.yaml").model_copy(update={"promotion": policy})
    comparison = compare_versions(tracking, params, DOG, version(2), version(1))
    assert len(comparison.pairs) == len(MOTIONS)
    assert comparison.metrics[0].gain == pytest.approx(0.1) and comparison.passes
