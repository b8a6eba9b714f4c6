"""The diffusion process by closed form, DDIM by a network that knows the answer.

Shapes: B batch, C latent channels, F frames, H W latent size.
"""

from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from torch import nn

from dreamvideo.base_models.pocket_networks import build_scheduler
from dreamvideo.base_models.unet3d import DiffusionSchedule
from dreamvideo.diffusion import diffusion_loss, make_noise, stratified_timesteps, training_target
from dreamvideo.params import SamplingParams, SolverName
from dreamvideo.sample import invert_latents, sample_latents
from tests.support.method_trials import build, trained
from tests.support.tiny import QuietModel, TinyModel


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def epsilon_scheduler():
    """As ModelScopeT2V's: 1000 steps, scaled-linear, epsilon prediction."""
    return type(build_scheduler())(
        beta_start=0.00085,
        beta_end=0.0120,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="epsilon",
    )


SCHEDULERS = {"v_prediction": build_scheduler, "epsilon": epsilon_scheduler}


def test_offset_noise_is_one_number_per_item_channel_and_frame():
    shape = (2, 4, 3, 16, 16)
    added = make_noise(shape, seeded(), 0.5) - make_noise(shape, seeded(), 0.0)
    assert (added.amax((3, 4)) - added.amin((3, 4))).max() < 1e-5
    assert len(added.mean((3, 4)).flatten().unique()) == 2 * 4 * 3


def test_noise_has_the_variance_of_its_closed_form():
    """Over all elements 1 + s^2; of the means over H x W, 1 / HW + s^2."""
    offset, side = 0.5, 8
    noise = make_noise((50, 4, 20, side, side), seeded(), offset)
    assert abs(noise.mean()) < 0.03
    assert noise.var().item() == pytest.approx(1 + offset**2, rel=0.03)
    assert noise.mean((3, 4)).var().item() == pytest.approx(1 / side**2 + offset**2, rel=0.08)
    plain = make_noise((50, 4, 20, side, side), seeded(), 0.0)
    assert plain.mean((3, 4)).var().item() == pytest.approx(1 / side**2, rel=0.08)


def test_noise_follows_from_its_generator_alone():
    shape = (1, 4, 2, 8, 8)
    torch.manual_seed(1)
    first = make_noise(shape, seeded(7), 0.1)
    torch.manual_seed(2)
    assert torch.equal(make_noise(shape, seeded(7), 0.1), first)
    assert not torch.equal(make_noise(shape, seeded(8), 0.1), first)


@pytest.mark.parametrize("batch", [1, 4, 8, 100])
def test_timesteps_fall_one_in_each_stratum(batch):
    for seed in range(20):
        timesteps = stratified_timesteps(batch, 1000, seeded(seed))
        assert timesteps.dtype == torch.long and timesteps.min() >= 0 and timesteps.max() < 1000
        assert sorted((timesteps * batch // 1000).tolist()) == list(range(batch))


def test_timesteps_come_in_random_order_and_cover_their_strata():
    drawn = torch.stack([stratified_timesteps(4, 1000, seeded(seed)) for seed in range(400)])
    first_stratum = (drawn[:, 0] // 250).bincount(minlength=4)
    assert first_stratum.min() > 60
    assert drawn.min() < 10 and drawn.max() > 989 and abs(drawn.float().mean() - 499.5) < 20


def test_an_exponent_of_a_half_draws_timesteps_in_proportion_to_themselves():
    drawn = stratified_timesteps(100_000, 1000, seeded(), exponent=0.5).float()
    assert abs(drawn.mean() - 2000 / 3) < 2  # of a density 2t
    assert abs((drawn < 500).float().mean() - 0.25) < 0.005


def test_loss_is_the_mean_squared_error():
    prediction, target = torch.randn(2, 2, 4, 2, 3, 3, generator=seeded())
    assert diffusion_loss(prediction, target).item() == pytest.approx(((prediction - target) ** 2).mean().item())


def test_loss_under_a_mask_is_the_mean_over_the_foreground():
    prediction, target = torch.randn(2, 2, 4, 2, 3, 3, generator=seeded())
    mask = (torch.rand(2, 1, 2, 3, 3, generator=seeded(1)) > 0.6).float()
    foreground = mask.bool().expand_as(prediction)
    expected = (prediction - target)[foreground].square().mean()
    torch.testing.assert_close(diffusion_loss(prediction, target, mask), expected)
    background = prediction + 100 * (1 - mask)
    torch.testing.assert_close(diffusion_loss(background, target, mask), expected)
    torch.testing.assert_close(diffusion_loss(prediction, target, 3 * mask), expected)


def test_loss_under_a_mask_of_one_frame_or_of_nothing():
    prediction, target = torch.randn(2, 2, 4, 5, 3, 3, generator=seeded())
    torch.testing.assert_close(
        diffusion_loss(prediction, target, torch.ones(2, 1, 1, 3, 3)), diffusion_loss(prediction, target)
    )
    assert diffusion_loss(prediction, target, torch.zeros(2, 1, 1, 3, 3)) == 0


def test_training_target_is_the_noise_or_the_velocity():
    latents, noise = torch.randn(2, 3, 4, 2, 5, 5, generator=seeded())
    timesteps = torch.tensor([0, 500, 999])
    assert torch.equal(training_target(epsilon_scheduler(), latents, noise, timesteps), noise)
    scheduler = build_scheduler()
    signal = scheduler.alphas_cumprod[timesteps].view(3, 1, 1, 1, 1)
    velocity = signal.sqrt() * noise - (1 - signal).sqrt() * latents
    torch.testing.assert_close(training_target(scheduler, latents, noise, timesteps), velocity)


class KnowsTheAnswer(nn.Module):
    """Predicts exactly what leads to the clip that is the target of each branch of guidance."""

    def __init__(self, scheduler, clips) -> None:
        super().__init__()
        self.scheduler, self.clips = scheduler, clips  # (2, C, F, H, W)
        self.seen_timesteps, self.seen_shapes, self.was_training = [], [], []

    def forward(self, latents, timestep, text):
        (timestep,) = set(timestep.tolist())
        self.seen_timesteps.append(timestep)
        self.seen_shapes.append(tuple(latents.shape))
        self.was_training.append(self.training)
        signal = self.scheduler.alphas_cumprod[timestep]
        noise = (latents - signal.sqrt() * self.clips) / (1 - signal).sqrt()
        if self.scheduler.config.prediction_type == "v_prediction":
            noise = signal.sqrt() * noise - (1 - signal).sqrt() * self.clips
        return SimpleNamespace(sample=noise)


def knowing(prediction: str, clips) -> TinyModel:
    base = TinyModel()
    scheduler = SCHEDULERS[prediction]()
    base.schedule, base.denoiser = DiffusionSchedule(scheduler), KnowsTheAnswer(scheduler, clips)
    return base


SOLVERS = get_args(SolverName)


def sampling(steps: int = 10, guidance: float = 4.0, solver: SolverName = "ddim") -> SamplingParams:
    return SamplingParams(solver=solver, steps=steps, guidance_scale=guidance, negative_prompt="")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("guidance", [0.0, 1.0, 9.0])
@pytest.mark.parametrize("prediction", list(SCHEDULERS))
def test_sampling_recovers_the_clip_that_a_perfect_network_knows(prediction, guidance, solver):
    clip = torch.randn(1, 4, 4, 8, 8, generator=seeded(9))
    base = knowing(prediction, clip)
    text = base.encode_text(["", "a dog"])
    found = sample_latents(base, text, sampling(guidance=guidance, solver=solver), seeded())
    torch.testing.assert_close(found, clip, rtol=0, atol=1e-3)


def test_guidance_moves_from_the_unconditional_branch_which_is_first():
    """Of two answers guidance takes u + g (c - u): u at 0, c at 1."""
    clips = torch.randn(2, 4, 4, 8, 8, generator=seeded(9))
    base = knowing("v_prediction", clips)
    text = base.encode_text(["", "a dog"])
    for guidance, answer in ((0.0, clips[:1]), (1.0, clips[1:]), (3.0, clips[:1] + 3 * (clips[1:] - clips[:1]))):
        found = sample_latents(base, text, sampling(guidance=guidance), seeded())
        torch.testing.assert_close(found, answer, rtol=0, atol=1e-3)


def test_sampling_visits_every_timestep_once_in_evaluation_and_tells_of_each_step():
    base, told = knowing("v_prediction", torch.zeros(1, 4, 4, 8, 8)), []
    base.denoiser.train()
    sample_latents(base, base.encode_text(["", "a"]), sampling(5), seeded(), on_step=told.append)
    assert told == [1, 2, 3, 4, 5]
    assert base.denoiser.seen_timesteps == [999, 799, 599, 399, 199]
    assert not any(base.denoiser.was_training)


def test_number_of_frames_is_the_models_own_unless_another_is_asked_for():
    base = knowing("v_prediction", torch.zeros(1, 4, 1, 8, 8))
    text = base.encode_text(["", "a"])
    assert sample_latents(base, text, sampling(1), seeded()).shape == (1, 4, 4, 8, 8)
    assert sample_latents(base, text, sampling(1), seeded(), num_frames=1).shape == (1, 4, 1, 8, 8)
    assert base.denoiser.seen_shapes == [(2, 4, 4, 8, 8), (2, 4, 1, 8, 8)]


def test_initial_noise_carries_the_base_models_offset_noise():
    """A network that predicts no velocity at the terminal step shows the noise it was given."""

    class Remembers(nn.Module):
        def forward(self, latents, timestep, text):
            self.first = latents
            return SimpleNamespace(sample=torch.zeros_like(latents))

    base = TinyModel()
    base.denoiser = Remembers()
    sample_latents(base, base.encode_text(["", "a"]), sampling(1), seeded(3))
    expected = make_noise((1, 4, 4, 8, 8), seeded(3), base.offset_noise)
    assert torch.equal(base.denoiser.first, expected.expand(2, -1, -1, -1, -1))


def test_the_seed_decides_the_video_whatever_ran_before():
    base = TinyModel()
    text = base.encode_text(["", "a dog"])
    first = sample_latents(base, text, sampling(3), seeded(1))
    torch.rand(5)
    other = sample_latents(base, text, sampling(7), seeded(2))
    assert torch.equal(sample_latents(base, text, sampling(3), seeded(1)), first)
    assert not torch.allclose(other, first, atol=0.1)


@torch.no_grad()
def test_guidance_of_one_is_the_conditional_branch_alone():
    base = QuietModel()
    text = base.encode_text(["blurred", "a dog"])
    found = sample_latents(base, text, sampling(4, guidance=1.0), seeded())
    latents = make_noise((1, 4, 4, 8, 8), seeded(), base.offset_noise)
    scheduler = build_scheduler()
    scheduler.set_timesteps(4)
    for timestep in scheduler.timesteps:
        prediction = base.denoiser(latents, timestep, text[1:]).sample
        latents = scheduler.step(prediction, timestep, latents, eta=0.0).prev_sample
    torch.testing.assert_close(found, latents, rtol=1e-3, atol=1e-3)
    guided = sample_latents(base, text, sampling(4, guidance=8.0), seeded())
    assert (guided - found).abs().max() > 1e-2


def test_sampling_keeps_no_graph():
    base = TinyModel()
    text = base.encode_text(["", "a dog"]).requires_grad_()
    assert not sample_latents(base, text, sampling(1), seeded()).requires_grad


@pytest.mark.parametrize("prediction", list(SCHEDULERS))
def test_inverted_latents_lead_back_to_their_clip(prediction):
    """Of a network that hardly sees its input, the inverse is exact but for the length of the steps."""
    base = QuietModel()
    base.schedule = DiffusionSchedule(SCHEDULERS[prediction]())
    with torch.no_grad():
        base.denoiser.conv_out.weight.mul_(0.02)
    clip, empty = 0.5 * torch.randn(1, 4, 4, 8, 8, generator=seeded(9)), base.encode_text([""])
    noise = invert_latents(base, clip, empty, 200)
    assert (noise - clip).abs().mean() > 0.05
    whole = SamplingParams(steps=200, guidance_scale=1.0, negative_prompt="", inversion_strength=1.0)
    found = sample_latents(base, empty.expand(2, -1, -1), whole, seeded(), inverted=noise)
    torch.testing.assert_close(found, clip, rtol=0, atol=0.05)


def test_the_share_of_inverted_noise_is_one_of_variance():
    class Remembers(nn.Module):
        def forward(self, latents, timestep, text):
            self.first = latents[:1]
            return SimpleNamespace(sample=torch.zeros_like(latents))

    base, inverted = TinyModel(), torch.randn(1, 4, 4, 8, 8, generator=seeded(7))
    base.denoiser = Remembers()
    mixed = SamplingParams(steps=1, guidance_scale=1.0, negative_prompt="", inversion_strength=0.36)
    sample_latents(base, base.encode_text(["", "a"]), mixed, seeded(3), inverted=inverted)
    noise = make_noise((1, 4, 4, 8, 8), seeded(3), base.offset_noise)
    torch.testing.assert_close(base.denoiser.first, 0.6 * inverted + 0.8 * noise)


class TooLarge:
    """Lets one item at a time through a network, and keeps how many were tried."""

    def __init__(self, base, most: int) -> None:
        self.most, self.tried = most, []
        base.denoiser.register_forward_pre_hook(self)

    def __call__(self, _module, args) -> None:
        self.tried.append(len(args[0]))
        if len(args[0]) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")


def test_without_memory_for_both_branches_they_go_one_after_the_other_each_with_its_own_guidance():
    """The unconditional branch sees no appearance, the other one a bright one: confusing them would show."""
    base, (subject, motion) = QuietModel(), trained("dreamvideo")
    method = build(appearance_strength=30.0, unconditional_appearance_strength=1.0)
    with method.composed(base, subject.tensors, motion.tensors, torch.ones(3, 16, 16)) as encode:
        text = encode(["", "a * jumping"])
        together = sample_latents(base, text, sampling(3), seeded(1))
        network = TooLarge(base, most=1)
        singly = sample_latents(base, text, sampling(3), seeded(1))
    assert network.tried == [2, 1, 1, 1, 1, 1, 1]
    torch.testing.assert_close(singly, together, rtol=1e-4, atol=1e-4)


def test_without_memory_for_one_branch_sampling_fails():
    base = QuietModel()
    network = TooLarge(base, most=0)
    with pytest.raises(torch.OutOfMemoryError):
        sample_latents(base, base.encode_text(["", "a dog"]), sampling(3), seeded())
    assert network.tried == [2, 1]
