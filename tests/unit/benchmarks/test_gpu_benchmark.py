"""The harness that measures speed: both versions of every kind of work run and agree, on a tiny base model."""

import time
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from benchmarks import gpu, ours, plain, trial
from benchmarks.gpu import build_base, measure, show
from benchmarks.random_modelscope import random_modelscope
from benchmarks.trial import Clock, Measured
from dreamvideo.errors import InputError
from dreamvideo.methods import dreamvideo as method
from dreamvideo.params import ComputeParams, load_params
from dreamvideo.train import optimise
from tests.support.tiny import QuietModel, TinyModel


@pytest.fixture(scope="module")
def params():
    params = load_params()
    changes = {
        "sampling": params.sampling.model_copy(update={"steps": 5}),
        "data": params.data.model_copy(update={"num_frames": 4}),
    }
    return params.model_copy(update=changes)


class SlowModel(QuietModel):
    """Whose coding of pixels takes a time that shows."""

    def encode_frames(self, frames):
        time.sleep(0.02)
        return super().encode_frames(frames)

    def decode_latents(self, latents):
        time.sleep(0.03)
        return super().decode_latents(latents)


@pytest.fixture(scope="module")
def built():
    """Of every base model that was built: whether an earlier one was still there."""
    return []


@pytest.fixture(scope="module")
def figures(params, built):
    earlier = []

    def build(_, compute):
        built.append(any(one() is not None for one in earlier))
        base = SlowModel(compute)
        earlier.extend((weakref.ref(base), weakref.ref(base.denoiser)))
        return base

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trial, "STEPS", 3)
        return measure(params, build, rounds=1)


def test_every_kind_of_work_is_measured_against_a_plain_version_that_agrees(figures):
    assert list(figures["work"]) == ["textual_inversion", "identity_adapter", "motion_adapter", "video"]
    for row in figures["work"].values():
        assert row["seconds_per_step"] > 0 and row["plain_seconds_per_step"] > 0
        assert row["relative_difference"] < 1e-3
        assert row["tflops"] >= 0 and row["share_of_matrix_product"] >= 0
        assert row["peak_gib"] is None, "a CPU's peak is the whole process's"
    assert figures["commit"] and figures["random_weights"] is False


@pytest.fixture
def difference(params, monkeypatch):
    """How far a stage is from its plain version, each on a base model of its own."""
    monkeypatch.setattr(trial, "STEPS", 3)
    monkeypatch.setattr(ours, "operations", lambda *_: None)
    return lambda stage: gpu._difference(*(way.work(QuietModel(), params)[stage]() for way in (ours, plain)))


@pytest.mark.parametrize("stage", trial.STAGES)
def test_a_wrong_gradient_shows(difference, monkeypatch, stage):
    def ascending(parameters, *others):
        for parameter in (parameters := list(parameters)):
            parameter.register_hook(torch.neg)
        return optimise(parameters, *others)

    monkeypatch.setattr(method, "optimise", ascending)
    assert difference(stage) > 1


def test_a_mask_that_is_forgotten_shows(difference, monkeypatch):
    data = trial.subject_data
    monkeypatch.setattr(ours, "subject_data", lambda base: replace(data(base), masks=None))
    assert difference("identity_adapter") > 0.01


def test_dropout_is_off_for_its_draws_differ_between_precisions(params, monkeypatch):
    unets = []
    monkeypatch.setattr(ours, "work", lambda base, _: unets.append(base.denoiser) or {})
    gpu._measured(params, lambda *_: TinyModel(), ComputeParams(), ours.work)
    dropouts = [module.p for module in unets[0].modules() if isinstance(module, nn.Dropout)]
    assert dropouts and not any(dropouts)


def test_a_base_model_is_gone_before_the_next_is_built(figures, built):
    assert built == [False, False]


def test_a_whole_is_its_steps_and_what_is_encoded_and_decoded_once(figures):
    work = figures["work"]
    assert work["textual_inversion"]["encoding_seconds"] >= 0.02 and work["motion_adapter"]["encoding_seconds"] >= 0.02
    assert work["identity_adapter"]["encoding_seconds"] < 0.01, "its images are encoded already"
    video = work["video"]
    once = video["encoding_seconds"] + video["decoding_seconds"]
    assert video["decoding_seconds"] >= 0.03
    assert video["seconds"] == pytest.approx(5 * video["seconds_per_step"] + once, abs=0.01)


def test_the_grid_is_every_adapter_and_every_video(figures):
    seconds = {name: row["seconds"] for name, row in figures["work"].items()}
    adapters = 20 * (seconds["textual_inversion"] + seconds["identity_adapter"]) + 30 * seconds["motion_adapter"]
    assert figures["grid"]["videos"] == 600
    assert figures["grid"]["hours"] == pytest.approx((adapters + 600 * seconds["video"]) / 3600, abs=0.006)


def test_the_table_shows_every_figure(figures, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    show(figures)
    shown = capsys.readouterr().out
    assert "seconds per step" in shown and "TFLOP/s" in shown and "random weights" not in shown
    show(figures | {"random_weights": True})
    assert "pocket on CPU, random weights" in capsys.readouterr().out
    assert f"20 x 30, 600 videos, without saving and scoring: {figures['grid']['hours']} hours" in shown


def no_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def only_videos(monkeypatch):
    """The stages of training cost the tests no time."""
    for way in (ours, plain):
        work = way.work
        monkeypatch.setattr(way, "work", lambda *given, work=work: {"video": work(*given)["video"]})
    monkeypatch.setattr(gpu, "WORK", ("video",))
    monkeypatch.setattr(gpu, "matrix_product", lambda _: 1.0)
    monkeypatch.setattr(gpu, "_grid", lambda *_: {"subjects": 20, "motions": 30, "videos": 600, "hours": None})


def test_a_plain_version_that_does_not_fit_leaves_the_rest(params, only_videos, monkeypatch, capsys):
    monkeypatch.setattr(plain, "_video", no_memory)
    figures = measure(params, lambda _, compute: QuietModel(compute), rounds=1)
    video = figures["work"]["video"]
    assert video["plain_seconds_per_step"] == "does not fit" and video["seconds_per_step"] > 0
    assert video["times_faster"] is None and video["relative_difference"] is None
    show(figures)
    assert "does not fit" in capsys.readouterr().out


def test_a_base_model_that_does_not_fit_is_said_to(params, only_videos):
    video = measure(params, no_memory, rounds=1)["work"]["video"]
    assert video["seconds_per_step"] == video["plain_seconds_per_step"] == "does not fit"
    assert video["seconds"] is None and video["tflops"] is None


def test_compiled_blocks_are_compared_with_the_blocks_as_they_are():
    outcomes = {"plain": 4.0, "ours": 2.0, "compiled": 3.0}
    same = torch.ones(3)  # as the losses may be where the trained numbers are not
    found = {way: Measured(1.0, outcome=(same, torch.tensor([value]))) for way, value in outcomes.items()}
    row = gpu._row(found, 5, 1.0)
    assert row["compiled_relative_difference"] == 0.5 and row["relative_difference"] == 0.5
    assert gpu._row(found | {"compiled": None}, 5, 1.0)["compiled_seconds_per_step"] == "does not fit"
    del found["compiled"]
    assert gpu._row(found, 5, 1.0)["compiled_seconds_per_step"] is None


def test_the_operations_of_a_step_are_those_of_its_products_forwards_and_backwards():
    layer = nn.Linear(8, 16, bias=False)

    def run(tick):
        for name in ("step", "step"):
            layer(torch.ones(4, 8, requires_grad=True)).sum().backward()
            tick(name)

    assert ours.operations(run, "step") == 3 * 2 * 4 * 8 * 16


def test_nothing_counts_operations_within_compiled_blocks(monkeypatch):
    monkeypatch.setattr(ours, "operations", None)
    assert ours._flops(QuietModel(ComputeParams(compiled=True)), lambda tick: None, "video") is None


def test_the_memory_of_a_stage_is_not_that_of_another(monkeypatch):
    held = iter((70, 50, 20, 30, 25))
    resets = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: resets.append(1))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: next(held))
    clock = Clock(torch.device("cuda"))
    for name in ("first", "first", "second", "second"):
        clock.tick(name)
    assert len(resets) == 2
    assert clock.peaks == {"first": 50, "second": 30}


@pytest.mark.parametrize(("decoding", "peak"), [(90, 90), (40, 50)])
def test_the_memory_of_a_video_is_that_of_decoding_it_too(monkeypatch, decoding, peak):
    """Each read of the peak starts from what is held then."""
    allocated = {"now": 0}
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: allocated.update(now=10))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: allocated["now"])
    clock = Clock(torch.device("cuda"))
    for _ in range(5):
        clock.tick("video")
        allocated.update(now=50)
    clock.tick("video")
    clock.once("video", lambda: allocated.update(now=decoding))
    assert clock.measured("video", ()).peak_bytes == peak


def test_the_published_network_is_built_with_random_weights_where_there_are_none(tmp_path, monkeypatch):
    params, built = load_params(profile="paper"), []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmarks.random_modelscope.random_modelscope", lambda *_: built.append(1))
    build_base(params, ComputeParams(device="cpu"))
    assert built and gpu.weights_are_random(params)


def test_weights_of_the_hub_come_from_there_or_not_at_all(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    params = load_params(profile="paper")
    base = params.base_model.model_copy(update={"weights": Path(f"hub:owner/name@{'0' * 40}")})
    with pytest.raises(InputError, match=r"^hub:owner/name@0+ cannot be fetched"):
        build_base(params.model_copy(update={"base_model": base}), ComputeParams(device="cpu"))


def test_the_random_network_has_the_published_sizes(monkeypatch):
    """Built where it costs no memory."""
    monkeypatch.setattr(ComputeParams, "torch_device", lambda self: torch.device("meta"))
    params = load_params(profile="paper")
    with torch.device("meta"):
        base = random_modelscope(params.base_model, ComputeParams(device="cpu"))
    assert (base.frame_size, base.latent_shape, base.appearance_width) == (256, (4, 32, 32), 1024)
    assert sum(p.numel() for p in base.denoiser.parameters()) == 1_411_233_860
    assert {block.dropout.p for block in base.denoiser.modules() if isinstance(block, ResnetBlock2D)} == {0.1}
    assert base.text.config.hidden_size == base.denoiser.config.cross_attention_dim
