"""What the suite tells the metrics of the truth."""

import pytest
import torch

from dreamvideo.dataset.catalog import Clip, Motion
from dreamvideo.dataset.clips import sample_window, write_clip
from evaluation.metrics.trajectory_oracle import agreement
from evaluation.suite import true_trajectories


@pytest.fixture
def spiral(tmp_path):
    turn = torch.linspace(0, 9, 32)
    path = torch.stack((turn.cos(), turn.sin()), -1) * turn[:, None]
    clip = tmp_path / "0.mp4"
    write_clip(clip, torch.zeros(32, 3, 16, 16, dtype=torch.uint8), 32.0)
    return Motion(
        name="spiral",
        words="spiralling",
        kind="trajectory",
        clips=(Clip(path=clip, caption="a dog"),),
        source="",
        licence="",
        sha256={},
        truth={"trajectory": path.tolist()},
    )


def test_every_training_window_is_one_of_the_true_trajectories(spiral):
    path = torch.tensor(spiral.truth["trajectory"])
    trajectories = true_trajectories(spiral, 8, 8.0)
    assert trajectories.shape == (4, 8, 2)  # 29 of 32 frames, every fourth
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        window = sample_window(path[:, :, None, None].expand(-1, -1, 1, 1), 32.0, 8, 8.0, generator)[..., 0, 0]
        assert max(agreement(window, trajectory) for trajectory in trajectories) == pytest.approx(1.0)


def test_a_video_longer_than_the_truth_has_no_true_trajectory(spiral):
    assert true_trajectories(spiral, 9, 8.0) is None
