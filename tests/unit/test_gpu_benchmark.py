"""The harness that measures speed: both versions of every kind of work run and agree, on a tiny base model."""

import pytest
import torch

from benchmarks.gpu import build_base, measure, show
from benchmarks.random_modelscope import random_modelscope
from dreamvideo.params import ComputeParams, load_params
from tests.tiny import QuietModel


@pytest.fixture(scope="module")
def figures():
    params = load_params()
    params = params.model_copy(update={"sampling": params.sampling.model_copy(update={"steps": 5})})
    return measure(params, lambda _, compute: QuietModel(compute), rounds=1)


def test_every_kind_of_work_is_measured_against_a_plain_version_that_agrees(figures):
    assert list(figures["work"]) == ["textual_inversion", "identity_adapter", "motion_adapter", "video"]
    for row in figures["work"].values():
        assert row["seconds_per_step"] > 0 and row["plain_seconds_per_step"] > 0
        assert row["relative_difference"] < 1e-3
        assert row["peak_gib"] is None, "a CPU's peak is the whole process's"


def test_the_operations_of_a_video_s_step_are_counted(figures):
    video = figures["work"]["video"]
    assert video["tflops"] >= 0 and figures["matrix_product_tflops"] > 0
    assert video["seconds"] == pytest.approx(5 * video["seconds_per_step"], abs=0.01)


def test_the_table_shows_every_figure(figures, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    show(figures)
    shown = capsys.readouterr().out
    assert "seconds per step" in shown and "TFLOP/s" in shown


def test_the_published_network_is_built_with_random_weights_where_there_are_none(tmp_path, monkeypatch):
    params, built = load_params(profile="paper"), []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmarks.random_modelscope.random_modelscope", lambda *_: built.append(1))
    build_base(params, ComputeParams(device="cpu"))
    assert built


def test_the_random_network_has_the_published_sizes(monkeypatch):
    """Built where it costs no memory."""
    monkeypatch.setattr(ComputeParams, "torch_device", lambda self: torch.device("meta"))
    params = load_params(profile="paper")
    with torch.device("meta"):
        base = random_modelscope(params.base_model, ComputeParams(device="cpu"))
    assert (base.frame_size, base.latent_shape, base.appearance_width) == (256, (4, 32, 32), 1024)
    assert sum(p.numel() for p in base.unet.parameters()) == 1_411_233_860
    assert base.text.config.hidden_size == base.unet.config.cross_attention_dim
