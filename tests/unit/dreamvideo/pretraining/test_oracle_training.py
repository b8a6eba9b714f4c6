"""The oracle's loss: frames of every clip, motions of those alone that have a name."""

import torch
from torch.nn import functional

from dreamvideo.pocket_world.oracle import Oracle
from dreamvideo.pretraining import encoders
from dreamvideo.pretraining.bank import LABELS, UNNAMED, build_bank

MOTION = LABELS.index("motion")


def motion_part(bank, monkeypatch) -> tuple[float, float]:
    """The share of the loss of a step that clips' motions have, and the mean cross entropy over the named ones."""
    torch.manual_seed(0)
    oracle, given = Oracle().eval(), []
    monkeypatch.setattr(encoders, "_worsened", lambda signal, generator: given.append(signal) or signal)
    loss_of = encoders.oracle_loss(oracle, bank, 64)

    def step() -> float:
        given.clear()
        return loss_of(0, torch.Generator().manual_seed(0)).item()

    with torch.no_grad():
        whole, clips = step(), given[0]
        chosen = encoders.random_clips(bank, 8, torch.Generator().manual_seed(0))
        label = bank.labels[chosen, MOTION]
        named = label != UNNAMED
        expected = functional.cross_entropy(oracle(clips)["motion"][named], label[named]).item() if named.any() else 0.0
        bank.labels[:, MOTION] = UNNAMED
        return whole - step(), expected


def test_motions_count_by_the_mean_over_named_ones(monkeypatch):
    bank = build_bank(32, 0, "cpu")
    named = bank.labels[:, MOTION] != UNNAMED
    assert 0 < named.sum() < len(bank)
    part, expected = motion_part(bank, monkeypatch)
    assert expected > 0.5 and abs(part - expected) < 1e-4


def test_a_batch_without_a_named_motion_has_a_loss(monkeypatch):
    bank = build_bank(32, 0, "cpu")
    bank.labels[:, MOTION] = UNNAMED
    assert motion_part(bank, monkeypatch) == (0.0, 0.0)
