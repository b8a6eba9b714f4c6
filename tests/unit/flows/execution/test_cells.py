"""What a cell makes of adapters that do not compute."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from dreamvideo.errors import NotFiniteError
from dreamvideo.params import load_params
from flows.execution.cells import sample_video
from tests.support.method_trials import build, trained
from tests.support.tiny import QuietModel
from tests.support.tiny_plans import changed

PLAN = SimpleNamespace(subject="dog", motion="jump", prompt="a * is jumping", generation_key="g")


@pytest.fixture
def resources(tmp_path):
    """As much of the resources as sampling a video needs."""
    Image.new("RGB", (16, 16), "red").save(tmp_path / "0.png")
    return SimpleNamespace(
        params=changed(changed(load_params(), "sampling", steps=2), "data", num_frames=4),
        catalog=SimpleNamespace(subject=lambda _: SimpleNamespace(images=[tmp_path / "0.png"])),
        method=build(),
        base=QuietModel(),
    )


def test_an_adapter_with_a_nan_fails_its_cell_instead_of_making_a_black_video(resources):
    subject, motion = (part.tensors for part in trained("dreamvideo"))
    video = sample_video(resources, PLAN, subject, motion)
    assert video.shape == (4, 3, 16, 16) and video.float().std() > 0
    name = next(name for name in motion if name.endswith("up.weight"))
    broken = motion | {name: torch.full_like(motion[name], float("nan"))}
    with pytest.raises(NotFiniteError):
        sample_video(resources, PLAN, subject, broken)
    assert resources.base.guided == [], "the composition is undone"
    assert torch.equal(sample_video(resources, PLAN, subject, motion), video)
