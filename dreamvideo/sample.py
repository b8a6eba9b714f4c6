"""DDIM sampling with classifier-free guidance (Sec. 4.1)."""

from collections.abc import Callable

import torch
from torch import Tensor

from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.diffusion import make_noise
from dreamvideo.params import SamplingParams


@torch.inference_mode()
def sample_latents(
    base: VideoDiffusionModel,
    text: Tensor,
    sampling: SamplingParams,
    generator: torch.Generator,
    num_frames: int | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """Denoise one clip, both branches of guidance in one batch, eta 0.

    Adapters that are injected must be guided for two items: the unconditional one first.

    Args:
        base: the frozen model.
        text: token embeddings (2, N, D): of the negative prompt, then of the prompt.
        sampling: number of steps and guidance scale.
        generator: source of the initial noise.
        num_frames: F; the base model's own where None.
        on_step: told of every finished step.

    Returns:
        Latents (1, C, F, H, W).
    """
    base.unet.eval()
    channels, height, width = base.latent_shape
    shape = (1, channels, num_frames or base.num_frames, height, width)
    latents = make_noise(shape, generator, base.offset_noise) * base.scheduler.init_noise_sigma
    base.scheduler.set_timesteps(sampling.steps)
    for index, timestep in enumerate(base.scheduler.timesteps, start=1):
        both = base.unet(latents.expand(2, *shape[1:]), timestep, text).sample
        unconditional, conditional = both.chunk(2)
        prediction = unconditional + sampling.guidance_scale * (conditional - unconditional)
        latents = base.scheduler.step(prediction, timestep, latents, eta=0.0).prev_sample
        on_step(index)
    return latents
