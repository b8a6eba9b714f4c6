"""Paths of the pocket world: those of the dataset stay clear of all that the base model learns.

Shapes: F frames.
"""

import random

import pytest
import torch

from dreamvideo.pocket_world.free_motions import draw_free_movement
from dreamvideo.pocket_world.motions import TARGET_MOTIONS, base_path
from dreamvideo.pocket_world.sampling import frame_times
from dreamvideo.pocket_world.vocabulary import FAMILIES, MOTIONS


def root_mean_square(offsets: torch.Tensor) -> torch.Tensor:
    """(..., F, 2) -> (...), over frames."""
    return offsets.square().sum(-1).mean(-1).sqrt()


@pytest.fixture(scope="module")
def base_paths():
    """Every base motion on a grid of amplitudes 0 to 1.2 and phases, centred: (paths, F, 2)."""
    times = frame_times(32)
    base = torch.stack(
        [
            base_path(motion, amplitude / 20, phase / 24)(times)[:, :2]
            for motion in MOTIONS
            for amplitude in range(0, 25)
            for phase in range(24)
        ]
    )
    return base - base.mean(1, keepdim=True)


@pytest.mark.parametrize("name", sorted(TARGET_MOTIONS))
def test_no_base_motion_reaches_a_target_path(base_paths, name):
    target = TARGET_MOTIONS[name].path(frame_times(32))[:, :2]
    assert root_mean_square(base_paths - (target - target.mean(0))).min() > 0.1


def test_no_free_path_comes_near_a_target_path():
    rng, times = random.Random(0), frame_times(32)
    targets = torch.stack([motion.path(times)[:, :2] for motion in TARGET_MOTIONS.values()])
    drawn = [draw_free_movement(rng) for _ in range(3000)]
    assert {movement.name for movement in drawn} == set(FAMILIES)
    paths = torch.stack([movement.path(times)[:, :2] for movement in drawn])
    paths, targets = (x - x.mean(1, keepdim=True) for x in (paths, targets))
    nearest = root_mean_square(paths[:, None] - targets[None]).amin(1)
    assert nearest.min() > 0.149 and nearest.max() < 0.6
    assert paths.abs().max() < 1


@pytest.mark.parametrize(
    ("direction", "axis", "sign"), [("right", 0, 1), ("left", 0, -1), ("up", 1, -1), ("down", 1, 1)]
)
def test_a_free_path_goes_where_its_words_say(direction, axis, sign):
    rng, times = random.Random(1), frame_times(32)
    drawn = [one for one in (draw_free_movement(rng) for _ in range(600)) if one.direction == direction]
    assert len(drawn) > 10
    for movement in drawn:
        path = movement.path(times)
        assert movement.words.split()[-1] == direction
        assert sign * (path[-8:, axis].mean() - path[:8, axis].mean()) > 0.1


def test_target_paths_differ_from_each_other():
    times = frame_times(32)
    paths = torch.stack([motion.path(times)[:, :2] for motion in TARGET_MOTIONS.values()])
    paths = paths - paths.mean(1, keepdim=True)
    distance = root_mean_square(paths[:, None] - paths[None])
    assert distance.fill_diagonal_(1).min() > 0.1
