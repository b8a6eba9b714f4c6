"""DDIM sampling with classifier-free guidance (Sec. 4.1)."""

from collections.abc import Callable

import torch
from torch import Tensor

from dreamvideo.adapters import guided_items
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.diffusion import make_noise
from dreamvideo.memory import in_chunks
from dreamvideo.params import SamplingParams


@torch.inference_mode()
def sample_latents(
    base: VideoDiffusionModel,
    text: Tensor,
    sampling: SamplingParams,
    generator: torch.Generator,
    num_frames: int | None = None,
    inverted: Tensor | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """Denoise one clip, eta 0; both branches of guidance in one batch, or one by one where memory does not suffice.

    Adapters that are injected must be guided for two items: the unconditional one first.

    Args:
        base: the frozen model.
        text: token embeddings (2, N, D): of the negative prompt, then of the prompt.
        sampling: number of steps and guidance scale.
        generator: source of the initial noise.
        num_frames: F; the base model's own where None.
        inverted: noise (1, C, F, H, W) that :func:`invert_latents` found; ``sampling.inversion_strength`` of the initial
            noise is this, in variance.
        on_step: told of every finished step.

    Returns:
        Latents (1, C, F, H, W).
    """
    base.unet.eval()
    channels, height, width = base.latent_shape
    shape = (1, channels, num_frames or base.num_frames, height, width)
    noise = make_noise(shape, generator, base.offset_noise).to(base.device)
    if inverted is not None:
        share = sampling.inversion_strength
        noise = share**0.5 * inverted + (1 - share) ** 0.5 * noise
    latents = noise * base.scheduler.init_noise_sigma
    base.scheduler.set_timesteps(sampling.steps)
    at_once = 2

    def predict(branches: Tensor) -> Tensor:
        nonlocal at_once
        at_once = len(branches)  # what did not fit is not tried at every step
        chosen = slice(int(branches[0]), int(branches[-1]) + 1)
        with guided_items(chosen):
            return base.predict(latents.expand(at_once, *shape[1:]), timestep, text[chosen])

    for index, timestep in enumerate(base.scheduler.timesteps, start=1):
        unconditional, conditional = in_chunks(predict, torch.arange(2), at_once).chunk(2)
        prediction = unconditional + sampling.guidance_scale * (conditional - unconditional)
        latents = base.scheduler.step(prediction, timestep, latents, eta=0.0).prev_sample
        on_step(index)
    return latents


@torch.inference_mode()
def invert_latents(base: VideoDiffusionModel, latents: Tensor, text: Tensor, steps: int) -> Tensor:
    """The noise (1, C, F, H, W) from which DDIM without guidance leads to given latents (Sec. 4.1).

    Args:
        base: the frozen model, without adapters.
        latents: of one clip (1, C, F, H, W).
        text: token embeddings (1, N, D), of the empty prompt as a rule.
        steps: as many as sampling will take.
    """
    from diffusers import DDIMInverseScheduler

    base.unet.eval()
    inverse = DDIMInverseScheduler.from_config(base.scheduler.config)
    inverse.set_timesteps(steps)
    for timestep in inverse.timesteps:
        prediction = base.predict(latents, timestep, text)
        latents = inverse.step(prediction, int(timestep), latents).prev_sample
    return latents
