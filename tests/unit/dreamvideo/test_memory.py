import weakref
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from dreamvideo.errors import OutOfMemoryError
from dreamvideo.memory import (
    in_chunks,
    loading_remedy,
    memory_explained,
    sampling_remedy,
    scoring_remedy,
    training_remedy,
)
from dreamvideo.params import ComputeParams, ExecutionParams, load_params
from flows.execution import cells
from flows.execution import resources as resources_module


def test_chunks_are_halved_until_they_fit():
    tried = []

    def work(chunk):
        tried.append(len(chunk))
        if len(chunk) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 2 * chunk

    items = torch.arange(7.0)
    assert torch.equal(in_chunks(work, items, 8), 2 * items)
    assert tried == [7, 4, 2, 2, 2, 1]


def test_what_does_not_fit_singly_is_not_tried_for_ever():
    def work(chunk):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        in_chunks(work, torch.zeros(4), 4)


def test_no_memory_is_one_sentence_with_the_remedy():
    sentence = r"^generating dog x jump does not fit into the GPU's memory.*; lower data.num_frames$"
    with (
        pytest.raises(OutOfMemoryError, match=sentence),
        memory_explained("generating dog x jump", "lower data.num_frames"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(KeyError), memory_explained("anything", "nothing"):
        raise KeyError("other errors pass")


def test_who_keeps_the_error_does_not_keep_the_memory():
    held = []

    def fails():
        activations = torch.zeros(4)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemoryError) as kept, memory_explained("generating", "lower it"):
        fails()
    assert kept.value.__traceback__ is not None and held[0]() is None


def test_the_sentence_says_how_much_this_work_held_and_how_much_there_is(monkeypatch):
    held = {"peak": 70 * 2**30}  # of an earlier stage
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: held.update(peak=2**30))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: held["peak"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 78 * 2**30))
    with (
        pytest.raises(OutOfMemoryError, match=r"\(more than 12\.0 GiB needed, the GPU has 78\.0 GiB\); lower it$"),
        memory_explained("training dog", "lower it"),
    ):
        held["peak"] = max(held["peak"], 12 * 2**30)
        no_memory()


def test_a_remedy_names_only_what_is_still_to_be_set():
    bare, best = ComputeParams(), ComputeParams(precision="bfloat16", gradient_checkpointing=True)
    others = "or end other processes on the GPU"
    assert training_remedy(bare) == (
        "set compute.gradient_checkpointing to true, set compute.precision to bfloat16, "
        f"lower batch_size or data.num_frames, {others}"
    )
    assert training_remedy(best) == f"lower batch_size or data.num_frames, {others}"
    assert sampling_remedy(bare) == f"set compute.precision to bfloat16, lower data.num_frames, {others}"
    assert sampling_remedy(best) == f"lower data.num_frames, {others}"
    assert scoring_remedy(ExecutionParams(overlap=True)).startswith("set execution.overlap to false, lower")
    assert loading_remedy(bare) == f"set compute.precision to bfloat16, {others}"
    assert loading_remedy(best) == "end other processes on the GPU"
    assert scoring_remedy(ExecutionParams()) == f"lower data.num_frames, {others}"


def no_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_base_model_that_does_not_fit_is_one_sentence_and_can_be_tried_again(monkeypatch):
    monkeypatch.setattr(resources_module, "load_base_model", no_memory)
    resources = resources_module.Resources(load_params())
    with pytest.raises(OutOfMemoryError, match=r"^loading the base model"):
        assert resources.base
    monkeypatch.setattr(resources_module, "load_base_model", lambda *_: "loaded")
    assert resources.base == "loaded"


@pytest.fixture
def resources(tmp_path):
    """As much of the resources as a cell needs until it fails."""
    params = load_params()
    (tmp_path / "video.mp4").write_bytes(b"made before")
    return SimpleNamespace(
        params=params.model_copy(update={"sampling": params.sampling.model_copy(update={"inversion_strength": 0.5})}),
        catalog=SimpleNamespace(subject=lambda _: SimpleNamespace(images=["0.png"]), motion=lambda _: None),
        tracking=SimpleNamespace(artifacts=SimpleNamespace(reuse=lambda _: tmp_path / "video.mp4")),
        suite=SimpleNamespace(score_video=no_memory),
        method=SimpleNamespace(name="dreamvideo"),
        base=SimpleNamespace(key="tiny"),
        keys=SimpleNamespace(composition="c", scoring=lambda *_: "s"),
        verify=lambda _: None,
        provenance={},
    )


PLAN = SimpleNamespace(
    subject="dog", motion="jump", prompt="a * is jumping", seed=0, key="k", generation_key="g",
    subject_key="d", motion_key="j", adapters=(),
)  # fmt: skip


def test_inverting_a_clip_and_scoring_a_video_are_explained_too(resources, monkeypatch):
    monkeypatch.setattr(cells, "_inverted_clip", no_memory)
    with pytest.raises(OutOfMemoryError, match="generating dog x jump"):
        cells.sample_video(resources, PLAN, {}, {})
    record = SimpleNamespace(params={}, tags={}, metrics={})
    monkeypatch.setattr(cells, "leased_run", lambda *_: nullcontext(record))
    with pytest.raises(OutOfMemoryError, match="scoring dog x jump"):
        cells.run_cell(resources, PLAN, {"d": "1", "j": "2"}, "parent", made="3")
