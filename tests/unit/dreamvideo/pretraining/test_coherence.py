"""Do frames agree? Measured on clips whose agreement is known.

Shapes: N clips, F frames.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dreamvideo.base_models import load_base_model
from dreamvideo.params import load_params
from dreamvideo.pocket_world.oracle import READ_OUTS
from dreamvideo.pretraining.bank import build_bank, to_signal
from dreamvideo.pretraining.coherence import (
    LASTING,
    TIMESTEPS,
    agreement,
    agreement_encoders,
    one_pass_agreement,
    steadiness,
)


def test_agreement_is_the_mean_cosine_of_consecutive_frames():
    angles = torch.tensor([[0.0, 60.0, 60.0], [0.0, 0.0, 0.0]]).deg2rad()
    clips = torch.stack((angles.cos(), angles.sin()), dim=-1)
    assert agreement(clips, lambda frames: frames).tolist() == pytest.approx([0.75, 1.0])


@pytest.mark.parametrize(
    ("odd_frames", "steady"), [([], True), ([2], True), ([0], True), ([2, 5], False), ([0, 1, 2, 3], False)]
)
@pytest.mark.parametrize("what", LASTING)
def test_a_clip_is_steady_if_seven_frames_show_the_same(odd_frames, steady, what):
    read = {name: torch.zeros(1, 8, classes) for name, classes in READ_OUTS.items()}
    for logits in read.values():
        logits[..., 1] = 1
    for frame in odd_frames:
        read[what][0, frame, 2] = 2
    assert steadiness(read).tolist() == [steady]


def test_what_is_not_lasting_may_change():
    read = {name: torch.zeros(1, 8, classes) for name, classes in READ_OUTS.items()}
    read["marking_colour"][0, ::2, 1] = 1
    assert steadiness(read).tolist() == [True]


class Sees(nn.Module):
    """A network that is told the clean latents: it predicts their velocity at whatever timestep."""

    def __init__(self, base, clean):
        super().__init__()
        self.base, self.clean = base, clean

    def forward(self, noisy, timesteps, text):
        share = self.base.schedule.ddim.alphas_cumprod[timesteps][:, None, None, None, None]
        noise = (noisy - share.sqrt() * self.clean) / (1 - share).sqrt()
        return SimpleNamespace(sample=share.sqrt() * noise - (1 - share).sqrt() * self.clean)


def test_one_pass_of_a_perfect_network_agrees_as_real_clips_do():
    params = load_params()
    base = load_base_model(params.base_model)
    encoders = agreement_encoders(params.evaluation.weights, base.device)
    bank = build_bank(2, 7, "cpu")
    clean = base.encode_frames(to_signal(bank.pixels))
    base.denoiser = Sees(base, clean)
    measured = one_pass_agreement(base, bank, encoders, 0, 2)
    for name, encode in encoders.items():
        expected = agreement(base.decode_latents(clean), encode).mean().item()
        for timestep in TIMESTEPS:
            assert measured[f"agreement_{name}_{timestep}"] == pytest.approx(expected, abs=1e-3)
    assert all(measured[f"error_{timestep}"] < 1e-3 for timestep in TIMESTEPS)
