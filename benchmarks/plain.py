"""The same work as the flows, written plainly: nothing is kept between steps, one branch of guidance after the other.

benchmarks/gpu.py compares it with the real work, which must be faster and must give the same result.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.trial import (
    PROMPT,
    Clock,
    Measured,
    few_steps,
    made_up_adapters,
    motion_data,
    seeded,
    subject_data,
    training_outcome,
)
from dreamvideo.augmentation import random_shift
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.dataset.clips import sample_window
from dreamvideo.diffusion import make_noise
from dreamvideo.params import Params
from dreamvideo.textual_inversion import CAPTION as SUBJECT_CAPTION
from dreamvideo.textual_inversion import TextualIdentity
from dreamvideo.train import denoising_loss, optimise, training


def work(base: VideoDiffusionModel, params: Params) -> dict[str, Callable[[], Measured]]:
    """Each stage and a video, by the names that benchmarks/gpu.py measures."""
    return {
        "textual_inversion": lambda: _subject(base, params, "textual_inversion"),
        "identity_adapter": lambda: _subject(base, params, "identity_adapter"),
        "motion_adapter": lambda: _motion(base, params),
        "video": lambda: _video(base, params),
    }


def _subject(base: VideoDiffusionModel, params: Params, measured: str) -> Measured:
    """Every step encodes its images and its words."""
    data, generator, clock = subject_data(base), seeded(), Clock(base.device)
    method, outcomes = few_steps(params, measured), {}
    identity = TextualIdentity.from_class_word(base, data.class_word)

    def loss(batch: int) -> Tensor:
        assert data.masks is not None
        latents = base.encode_frames(data.images[:, None])
        masks = functional.interpolate(data.masks, latents.shape[-2:], mode="nearest-exact")[:, :, None]
        chosen = torch.randint(len(latents), (batch,), generator=generator)
        reach = round(method.options.random_shift * latents.shape[-1])
        seen, weights = random_shift(latents[chosen], masks.to(base.device)[chosen], reach, generator)
        text = identity.encode(base, [SUBJECT_CAPTION] * batch)
        return denoising_loss(base, seen, text, generator, weights)

    def stage(name: str, trained: nn.Module) -> None:
        options = getattr(method.options, name)
        losses = optimise(
            trained.parameters(), lambda: loss(options.batch_size), options.steps, options.learning_rate,
            lambda *_: clock.tick(name),
        )  # fmt: skip
        outcomes[name] = training_outcome(method, base, name, losses, trained.state_dict())

    with training(base, generator):
        stage("textual_inversion", identity)
        identity.requires_grad_(False)
        adapter = method.identity_adapter(base).to(base.device)
        with adapter.inject(base):
            stage("identity_adapter", adapter)
    return clock.measured(measured, outcomes[measured])


def _motion(base: VideoDiffusionModel, params: Params) -> Measured:
    """Every step encodes its clip, its caption and its appearance."""
    data, generator, clock = motion_data(base, params), seeded(), Clock(base.device)
    method = few_steps(params, "motion_adapter")
    options, clip = method.options.motion_adapter, data.clips[0]

    def loss() -> Tensor:
        torch.randperm(1, generator=generator)  # draws the choice among clips
        window = sample_window(clip, data.fps[0], data.num_frames, data.target_fps, generator)
        appearance = base.encode_appearance(clip[torch.randint(len(clip), (1,), generator=generator)])
        dropped_caption, dropped_appearance = torch.rand(2, generator=generator).tolist()
        text = base.encode_text(["" if dropped_caption < options.caption_dropout else data.captions[0]])
        adapter.guide(torch.zeros_like(appearance) if dropped_appearance < options.appearance_dropout else appearance)
        latents = base.encode_frames(window[None])
        return denoising_loss(base, latents, text, generator, exponent=options.timestep_exponent)

    with training(base, generator):
        adapter = method.motion_adapter(base).to(base.device)
        with adapter.inject(base):
            losses = optimise(
                adapter.parameters(), loss, options.steps, options.learning_rate, lambda *_: clock.tick("motion")
            )
    outcome = training_outcome(method, base, "motion_adapter", losses, adapter.state_dict())
    return clock.measured("motion", outcome)


@torch.no_grad()
def _video(base: VideoDiffusionModel, params: Params) -> Measured:
    """Two passes of the UNet a step with both adapters, the words and the appearance encoded for each."""
    base.denoiser.eval()
    clock, sampling, channels = Clock(base.device), params.sampling, base.latent_shape[0]
    method = few_steps(params)
    options, reference = method.options, subject_data(base).images[:1]
    identity, adapter, motion = made_up_adapters(method, base)
    identity, adapter, motion = identity.to(base.device), adapter.to(base.device), motion.to(base.device)

    def branch(prompt: str, share: float, strength: float) -> Tensor:
        """One branch of guidance, with a ``share`` of the reference's appearance."""
        motion.guide(
            share * base.encode_appearance(reference).to(base.device), torch.tensor([strength]).to(base.device)
        )
        return base.predict(latents, timestep, identity.encode(base, [prompt]))

    shape = (1, channels, base.latent_frames(params.data.num_frames), *base.latent_shape[1:])
    latents = make_noise(shape, seeded(), base.offset_noise).to(base.device)
    solver = base.schedule.solver(sampling.solver, sampling.steps)
    with (
        adapter.scaled(options.identity_strength).inject(base),
        motion.scaled(options.motion_strength).inject(base),
    ):
        for timestep in solver.timesteps:
            unconditional = branch("", 0.0, options.unconditional_appearance_strength)
            conditional = branch(PROMPT, 1.0, options.appearance_strength)
            prediction = unconditional + sampling.guidance_scale * (conditional - unconditional)
            latents = solver.step(prediction, timestep, latents).prev_sample
            clock.tick("video")
    decoding = clock.once("video", lambda: base.decode_latents(latents))
    return clock.measured("video", (latents,), decoding=decoding)
