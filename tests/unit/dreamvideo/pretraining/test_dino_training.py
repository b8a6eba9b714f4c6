"""Self-distillation: its views, its balanced targets, and that it learns to tell identities apart.

Shapes: B batch, K prototypes, S pixels a side.
"""

import pytest
import torch

from dreamvideo.base_models.pocket_networks import build_dino
from dreamvideo.pretraining.bank import build_bank, centroids
from dreamvideo.pretraining.encoders import DinoTraining, _balanced, _cropped_frames, dino_loss


@pytest.fixture(scope="module")
def bank():
    return build_bank(16, 5, "cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_centroid_of_a_rectangle_is_its_middle():
    mask = torch.zeros(2, 8, 8, dtype=torch.uint8)
    mask[0, 2:4, 6:8] = 255  # rows 2 and 3, columns 6 and 7
    assert centroids(mask).tolist() == [[0.75, -0.25], [0.0, 0.0]]


def test_balanced_targets_are_distributions_that_use_every_prototype_equally():
    scores = torch.randn(64, 8, generator=seeded()) + 5 * torch.arange(8) / 8  # the last prototype attracts most
    shares = _balanced(scores, rounds=50)
    torch.testing.assert_close(shares.sum(1), torch.ones(64))
    torch.testing.assert_close(shares.sum(0), torch.full((8,), 8.0), rtol=1e-3, atol=1e-3)
    assert scores.softmax(-1).sum(0).max() > 16


def test_balancing_leaves_what_is_balanced():
    scores = 20 * torch.eye(4)
    torch.testing.assert_close(_balanced(scores), scores.softmax(-1))


def test_cropped_frames_show_the_subject(bank):
    white = bank.masks.expand(-1, -1, 3, -1, -1)  # clips in which the foreground is white and the rest black
    shown = type(bank)(white, bank.masks, bank.image_tokens, bank.clip_tokens, bank.labels)
    views = _cropped_frames(shown, torch.arange(16), seeded())
    assert views.shape == (16, 3, 64, 64) and views.min() >= -1 and views.max() <= 1
    share = (views[:, 0] > 0).float().mean((1, 2))
    assert share.min() > 0.02  # every window holds a part of it
    assert share.mean() > 1.5 * (bank.masks > 127).float().mean()  # and more of it than a whole frame


def test_the_teacher_learns_from_the_student_alone(bank):
    torch.manual_seed(0)
    dino = DinoTraining(build_dino(), build_dino()).train()
    dino_loss(dino, bank, 4)(0, seeded()).backward()
    assert all(p.grad is None for p in dino.teacher.parameters())
    assert all(p.grad is not None for p in dino.student.parameters())
    before = [p.clone() for p in dino.teacher.parameters()]
    with torch.no_grad():
        for parameter in dino.student.parameters():
            parameter.add_(1.0)
    dino.follow(0.75)
    for old, new in zip(before, dino.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.25)
