"""Sampling with classifier-free guidance (Sec. 4.1), and its inversion.

Shapes: F frames, f latent frames, C latent channels, H W latent size, N tokens, D text width.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dreamvideo.base_models.contract import NOT_FINITE, VideoDiffusionModel
from dreamvideo.diffusion import make_noise
from dreamvideo.memory import in_chunks
from dreamvideo.params import SamplingParams
from dreamvideo.weights import check_finite


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
    """Denoise one clip. Both branches of guidance go in one batch, or one by one if the memory is too small.

    Injected adapters need guidance for two items, the unconditional branch first.

    Args:
        base: the frozen model.
        text: token embeddings (2, N, D): of the negative prompt, then of the prompt.
        sampling: solver, number of steps and guidance scale.
        generator: source of the initial noise.
        num_frames: F; None takes the base model's own number.
        inverted: noise (1, C, f, H, W) of :func:`invert_latents`. Its share of the initial noise, in variance, is
            ``sampling.inversion_strength``.
        on_step: called after every step with its number, from 1.

    Returns:
        Latents (1, C, f, H, W).

    Raises:
        NotFiniteError: the latents are not finite.
    """
    base.denoiser.eval()
    channels, height, width = base.latent_shape
    shape = (1, channels, base.latent_frames(num_frames or base.num_frames), height, width)
    latents = make_noise(shape, generator, base.offset_noise).to(base.device)
    if inverted is not None:
        share = sampling.inversion_strength
        latents = share**0.5 * inverted + (1 - share) ** 0.5 * latents
    solver = base.schedule.solver(sampling.solver, sampling.steps)
    at_once = 2

    def predict(branches: Tensor) -> Tensor:
        nonlocal at_once
        at_once = len(branches)  # keep the size that fits for the steps that follow
        chosen = slice(int(branches[0]), int(branches[-1]) + 1)
        return base.predict(latents.expand(at_once, *shape[1:]), timestep, text[chosen], chosen)

    for index, timestep in enumerate(solver.timesteps, start=1):
        unconditional, conditional = in_chunks(predict, torch.arange(2), at_once).chunk(2)
        prediction = unconditional + sampling.guidance_scale * (conditional - unconditional)
        latents = solver.step(prediction, timestep, latents).prev_sample
        on_step(index)
    check_finite("a latent", latents, remedy=NOT_FINITE)
    return latents


@torch.inference_mode()
def invert_latents(base: VideoDiffusionModel, latents: Tensor, text: Tensor, steps: int) -> Tensor:
    """The noise (1, C, f, H, W) from which sampling without guidance leads to the given latents (Sec. 4.1).

    Args:
        base: the frozen model, without adapters.
        latents: of one clip (1, C, f, H, W).
        text: token embeddings (1, N, D), of the empty prompt as a rule.
        steps: as many as sampling will take.
    """
    base.denoiser.eval()
    inverse = base.schedule.inverse(steps)
    for timestep in inverse.timesteps:
        prediction = base.predict(latents, timestep, text)
        latents = inverse.step(prediction, timestep, latents).prev_sample
    return latents
