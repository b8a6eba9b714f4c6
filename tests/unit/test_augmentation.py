"""Augmentation of what is trained on."""

import torch

from dreamvideo.augmentation import random_shift
from tests.method_trials import seeded

SIDE, REACH = 8, 2
# Every cell says in which row and column it was: (2, H, W).
CELLS = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"))


def test_an_item_moves_as_one_and_its_edge_is_repeated():
    for item in random_shift(CELLS.expand(50, 3, 2, SIDE, SIDE), REACH, seeded()):
        moved = CELLS[:, 4, 4] - item[0, :, 4, 4]  # down, right
        assert moved.abs().max() <= REACH
        assert torch.equal(item, (CELLS - moved[:, None, None]).clamp(0, SIDE - 1).expand_as(item))


def test_every_place_within_reach_is_as_likely_as_any_other():
    moved = random_shift(CELLS.expand(2500, 2, SIDE, SIDE), REACH, seeded())[:, :, 4, 4]
    counts = torch.unique(moved, dim=0, return_counts=True)[1]
    assert len(counts) == (2 * REACH + 1) ** 2  # each 100 times on average, with a deviation of 10
    assert counts.min() > 60 and counts.max() < 140


def test_no_reach_moves_nothing():
    assert torch.equal(random_shift(CELLS.expand(4, 2, SIDE, SIDE), 0, seeded()), CELLS.expand(4, 2, SIDE, SIDE))
