"""The paper's profile through the same flow: its base and its encoders in the published layouts, at a tiny size."""

import json
import shutil
from math import isfinite

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from dreamvideo.params import load_params
from dreamvideo.yaml_files import read_yaml, to_yaml
from flows.benchmark import run_benchmark
from flows.planning.selection import Selection
from flows.tracking.schema import Kind
from flows.tracking.store import open_store
from tests.integration.conftest import write_params
from tests.support.tiny_modelscope import APPEARANCE, write_tiny_modelscope


@pytest.fixture(scope="module")
def folder(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("paper")
    shutil.copytree(dataset, folder / "data")
    base = write_tiny_modelscope(folder)
    path = write_params(folder)
    content = read_yaml(path, "")
    paper, pocket = content["profiles"]["paper"], content["profiles"]["pocket"]
    paper["data"] |= {"root": "data", "subjects": 2, "motions": 2, "image_size": 16, "num_frames": 4}
    paper["base_model"] |= {"weights": str(base.weights), "appearance": str(base.appearance)}
    paper["sampling"] |= {"steps": 2, "inversion_strength": 0.2}
    paper["evaluation"] |= {"weights": str(_metrics(folder / "metrics")), "bootstrap_resamples": 100}
    paper["tracking"] = pocket["tracking"]
    for stage in ("textual_inversion", "identity_adapter", "motion_adapter"):
        paper["methods"]["dreamvideo"][stage]["steps"] = 2
    path.write_text(to_yaml(content))
    return folder


def _metrics(folder):
    """A tiny CLIP and a DINO of the true shape, both random."""
    torch.manual_seed(0)
    for part in ("clip", "dino"):
        (folder / part).mkdir(parents=True)
    model = APPEARANCE | {"text_cfg": {**APPEARANCE["text_cfg"], "context_length": 77, "vocab_size": 49408}}
    (folder / "clip" / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    save_file(open_clip.CLIP(**model).state_dict(), folder / "clip" / "open_clip_model.safetensors")
    dino = timm.create_model("vit_small_patch16_224.dino", num_classes=0)
    save_file(dino.state_dict(), folder / "dino" / "model.safetensors")
    return folder


def test_the_whole_benchmark_runs_on_the_papers_base_and_encoders(folder, monkeypatch):
    monkeypatch.chdir(folder)
    params = load_params(profile="paper")
    outcome = run_benchmark(params, Selection(subjects="1", motions="2"))
    assert (outcome.finished, outcome.failed) == (2, 0)
    cells = open_store(params.tracking).runs(Kind.CELL)
    for metric in ("clip_t", "clip_i", "dino_i", "temporal_consistency"):
        assert all(isfinite(cell.data.metrics[metric]) for cell in cells)
    assert not any("oracle" in name for cell in cells for name in cell.data.metrics)
    assert "modelscope" in outcome.report.read_text()
