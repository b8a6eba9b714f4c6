"""`dreamvideo pretrain` in miniature: every stage for two steps, through the real flow."""

from pathlib import Path

import pytest
import torch

from dreamvideo.base_models import load_base_model
from dreamvideo.params import load_params
from dreamvideo.pretraining import stages
from dreamvideo.weights import read_schema
from evaluation.encoders import encoders
from flows.pretrain import run_pretrain
from flows.tracking.schema import Kind
from flows.tracking.store import open_store
from tests.integration.conftest import write_params

STAGES = ("vae", "clip", "oracle", "dino", "clip_metric", "images", "motion_words", "clips_and_images")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    tiny = {f"pretraining__{stage}": {"steps": 2, "batch_size": 8, "learning_rate": 1e-3} for stage in STAGES}
    for stage in ("images", "motion_words", "clips_and_images"):
        tiny[f"pretraining__{stage}"]["threads"] = 2
    weights = {"base_model__weights": "models/base", "evaluation__weights": "models/metrics"}
    write_params(folder, pretraining__clips=32, **tiny, **weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(stages, "HELD_OUT", 32)
        patch.setattr(stages, "CAPTIONS", 2)
        patch.setattr(stages, "ONE_PASS_CLIPS", 2)
        params = load_params()
        yield params, run_pretrain(params)


def test_every_stage_is_a_run_with_its_loss_and_quality(trained):
    found = {run.info.run_name: run for run in open_store(trained[0].tracking).runs(Kind.PRETRAINING)}
    assert set(found) == {f"pretrain {stage}" for stage in STAGES}
    assert all(run.data.metrics["loss"] > 0 and run.data.metrics["samples"] == 16 for run in found.values())
    base_quality = found["pretrain clips_and_images"].data.metrics
    assert {"quality.video_motion", "quality.video_steady", "quality.agreement_dino_700"} <= set(base_quality)
    assert "quality.psnr" in found["pretrain vae"].data.metrics
    assert "quality.retrieval" in found["pretrain clip_metric"].data.metrics


def test_the_weights_load_and_are_small(trained):
    params, _ = trained
    base = load_base_model(params.base_model)
    assert base.encode_text(["a cat"]).shape == (1, 16, 128)
    assert encoders["pocket"](params.evaluation.weights, torch.device("cpu")).clip_text("a cat").shape == (128,)
    files = list(Path("models").rglob("*.safetensors"))
    assert len(files) == 7 and sum(path.stat().st_size for path in files) < 30e6
    assert "subject_oracle" in read_schema(Path("models/metrics/oracle.safetensors"))["quality"]


def test_a_finished_pretraining_is_not_done_again(trained):
    params, run_id = trained
    before = {path: path.stat().st_mtime_ns for path in Path("models").rglob("*.safetensors")}
    assert run_pretrain(params) == run_id
    assert before == {path: path.stat().st_mtime_ns for path in Path("models").rglob("*.safetensors")}


def test_a_stage_whose_file_is_gone_is_finished_again_from_its_checkpoint(trained):
    params, _ = trained
    finished = Path("checkpoints/finished/base/vae.safetensors")
    before = finished.read_bytes()
    finished.unlink()
    run_pretrain(params)
    assert finished.read_bytes() == before


def test_what_comes_after_another_recipe_starts_anew(trained):
    params, _ = trained
    pretraining = params.pretraining
    longer = pretraining.model_copy(update={"vae": pretraining.vae.model_copy(update={"steps": 3})})
    same, other = ({name: stages.lineage(one, 0.1, name) for name in STAGES} for one in (pretraining, longer))
    assert same["vae"] == other["vae"]  # more steps go on from the checkpoint
    assert all(same[name] != other[name] for name in STAGES[1:])
