"""The contract of a base model on one that is no UNet: DreamVideo trains, composes, samples and ejects on it."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from torch import nn

from dreamvideo.errors import InputError
from dreamvideo.params import ComputeParams, SamplingParams, SolverName
from dreamvideo.roles import Role
from dreamvideo.sample import invert_latents, sample_latents
from dreamvideo.weights import check_fit, read_weights, save_weights
from tests.support.method_trials import bits, build, ignore, same, seeded
from tests.support.tiny import tiny_subject
from tests.support.tiny_wan import TIMESTEPS, TinyWan, wan_motion
from tests.unit.dreamvideo.base_models.test_base_models import assert_sites

SOLVERS = get_args(SolverName)
PROMPTS = ["", "a * jumping"]


@cache
def learnt():
    """What DreamVideo learns of a subject and of a motion."""
    base, method = TinyWan(), build(caption_dropout=0.0)
    return (
        method.train_subject(base, tiny_subject(), seeded(), ignore),
        method.train_motion(base, wan_motion(), seeded(), ignore),
    )


def video(base, encode, solver: str = "unipc", seed: int = 0, **sampling) -> torch.Tensor:
    params = SamplingParams(**{"solver": solver, "steps": 3, "guidance_scale": 4.0, "negative_prompt": ""} | sampling)
    return base.decode_latents(sample_latents(base, encode(PROMPTS), params, seeded(seed)))


def test_adapters_go_beside_words_for_a_subject_and_beside_all_places_for_a_motion():
    base, described = TinyWan(), TinyWan.architecture()
    assert [site.sublayer for site in base.adapter_sites(Role.SUBJECT)] == ["attn2"] * 2
    assert [site.sublayer for site in base.adapter_sites(Role.MOTION)] == ["attn1", "ffn"] * 2
    for role in Role:
        assert_sites(base.denoiser, base.adapter_sites(role))
        assert described.adapter_sites(role) == base.adapter_sites(role)
    assert all(parameter.is_meta for parameter in described.denoiser.parameters())


@pytest.mark.parametrize(("frames", "latent"), [(1, 1), (5, 2), (9, 3)])
def test_time_is_compressed(frames, latent):
    base, clips = TinyWan(), torch.rand(2, frames, 3, 16, 16) * 2 - 1
    latents = base.encode_frames(clips)
    assert latents.shape == (2, 4, base.latent_frames(frames), 4, 4) and base.latent_frames(frames) == latent
    assert base.decode_latents(latents).shape == clips.shape


def test_a_length_that_the_vae_does_not_have_is_refused():
    with pytest.raises(InputError, match="num_frames"):
        TinyWan().latent_frames(8)


def test_what_was_learnt_is_saved_loaded_composed_sampled_and_ejected(tmp_path):
    base, method, loaded = TinyWan(), build(appearance_strength=1.0), []
    before, vae, plain = (
        bits(base),
        {n: t.clone() for n, t in base.vae.state_dict().items()},
        video(base, base.encode_text),
    )
    for role, trained in zip(Role, learnt(), strict=True):
        assert all(len(curve) == 3 and torch.tensor(curve).isfinite().all() for curve in trained.losses.values())
        path = tmp_path / f"{role}.safetensors"
        save_weights(path, trained.tensors, {"kind": role})
        loaded.append(read_weights(path, kind=role)[0])
        with torch.device("meta"):
            check_fit(method.module(role, TinyWan.architecture()), loaded[-1], Path(path))
    found = []
    for subject, motion in (loaded, (loaded[0], None), (None, loaded[1])):
        with method.composed(base, subject, motion, torch.ones(3, 16, 16)) as encode:
            assert same(bits(base), before)
            found.append(video(base, encode))
    assert all(one.shape == (1, 5, 3, 16, 16) and one.isfinite().all() for one in found)
    assert all(not torch.equal(one, other) for one, other in zip(found, [plain, found[0], found[1]], strict=True))
    assert same(bits(base), before) and same(base.vae.state_dict(), vae)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in base.denoiser.modules())
    assert base.guided == [] and torch.equal(video(base, base.encode_text), plain)


def test_training_is_the_same_with_recomputed_blocks():
    recomputing = TinyWan(ComputeParams(device="cpu", gradient_checkpointing=True))
    again = build(caption_dropout=0.0).train_motion(recomputing, wan_motion(), seeded(), ignore)
    assert again.losses == learnt()[1].losses
    assert not any("forward" in vars(module) for module in recomputing.denoiser.modules())


def test_a_motion_is_learnt_of_windows_that_are_encoded_whole(monkeypatch):
    base, encoded = TinyWan(), []
    encode = base.encode_frames
    monkeypatch.setattr(base, "encode_frames", lambda frames: encoded.append(frames.shape[1]) or encode(frames))
    build(steps=8).train_motion(base, wan_motion(1), seeded(), ignore)
    assert set(encoded) == {5} and 1 < len(encoded) <= 4, "each of the four windows of a clip is encoded at most once"


def test_learning_lowers_the_loss():
    method = build(steps=60, learning_rate=0.02, caption_dropout=0.0, appearance_dropout=0.0, batch_size=4)
    curve = method.train_motion(TinyWan(), wan_motion(1), seeded(), ignore).losses["motion_adapter"]
    assert sum(curve[-15:]) < 0.97 * sum(curve[:15])


class KnowsTheClip(nn.Module):
    """Predicts the direction from one clip to the noise."""

    def __init__(self, clip: torch.Tensor) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, latents, timesteps, text):
        share = (timesteps / TIMESTEPS).view(-1, 1, 1, 1, 1).clamp_min(1e-6)
        return SimpleNamespace(sample=(latents - self.clip) / share)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_finds_the_clip_that_a_perfect_network_knows(solver):
    base, clip = TinyWan(), torch.randn(1, 4, 2, 4, 4, generator=seeded(9))
    base.denoiser = KnowsTheClip(clip)
    params = SamplingParams(solver=solver, steps=8, guidance_scale=4.0, negative_prompt="")
    found = sample_latents(base, base.encode_text(PROMPTS), params, seeded())
    torch.testing.assert_close(found, clip, rtol=0, atol=1e-2)


def test_solvers_take_the_same_way_in_small_steps():
    base = TinyWan()
    ends = [video(base, base.encode_text, solver, steps=60, guidance_scale=1.0) for solver in SOLVERS]
    for end in ends[1:]:
        assert (end - ends[0]).abs().mean() < 0.02 < (ends[0] - video(base, base.encode_text, seed=1)).abs().mean()


def test_inverted_latents_lead_back_to_their_clip():
    base = TinyWan()
    clip, empty = base.encode_frames(wan_motion(1).clips[0][None, :5]), base.encode_text([""])
    noise = invert_latents(base, clip, empty, 100)
    params = SamplingParams(steps=100, guidance_scale=1.0, negative_prompt="", inversion_strength=1.0)
    found = sample_latents(base, empty.expand(2, -1, -1), params, seeded(), inverted=noise)
    assert (found - clip).abs().mean() < 0.1 * (noise - clip).abs().mean()
