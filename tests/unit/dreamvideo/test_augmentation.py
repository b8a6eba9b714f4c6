"""Augmentation of what is trained on."""

import torch

from dreamvideo.augmentation import random_shift
from tests.support.method_trials import seeded

SIDE, REACH = 8, 2
# Every cell says in which row and column it was: (2, 1, H, W).
CELLS = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"))[:, None].float()


def shifted(count: int, reach: int = REACH):
    return random_shift(CELLS.expand(count, -1, -1, -1, -1), torch.ones(count, 1, 1, SIDE, SIDE), reach, seeded())


def test_an_image_moves_with_its_weights_and_what_comes_into_sight_repeats_the_edge_and_weighs_nothing():
    for image, weight in zip(*shifted(50), strict=True):
        from_where = CELLS - (CELLS - image)[:, :, 4:5, 4:5]
        assert (CELLS - from_where).abs().max() <= REACH
        assert torch.equal(image, from_where.clamp(0, SIDE - 1))
        assert torch.equal(weight[0], ((from_where >= 0) & (from_where < SIDE)).all(0).float())


def test_every_place_within_reach_is_as_likely_as_any_other():
    centres = shifted(2500)[0][:, :, 0, 4, 4]
    counts = torch.unique(centres, dim=0, return_counts=True)[1]
    assert len(counts) == (2 * REACH + 1) ** 2  # each 100 times on average, with a deviation of 10
    assert counts.min() > 60 and counts.max() < 140


def test_no_reach_moves_nothing():
    images, weights = shifted(4, reach=0)
    assert torch.equal(images, CELLS.expand_as(images)) and weights.all()
