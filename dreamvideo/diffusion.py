"""The diffusion process: noise, the training loss (Eq. 1) and DDIM.

Shapes: B batch, C latent channels, F frames, H W latent size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import DDIMScheduler


def make_noise(shape: tuple[int, ...], generator: torch.Generator, offset: float) -> Tensor:
    """Standard normal noise (B, C, F, H, W), plus offset noise that is constant over H x W.

    Args:
        shape: (B, C, F, H, W).
        generator: source of randomness, on the CPU, so that a seed means the same on every device.
        offset: strength of the offset noise, one extra normal sample per item, channel and frame.
    """
    noise = torch.randn(shape, generator=generator)
    if offset:
        noise = noise + offset * torch.randn((*shape[:3], 1, 1), generator=generator)
    return noise


def stratified_timesteps(batch: int, total: int, generator: torch.Generator, exponent: float = 1.0) -> Tensor:
    """Random timesteps (B,), one in each of B equal strata, in random order: less variance than independent draws.

    An exponent below 1 draws noisier ones more often: 1/2 gives a density that grows linearly with the timestep.
    """
    strata = (torch.randperm(batch, generator=generator) + torch.rand(batch, generator=generator)) / batch
    return (strata**exponent * total).long().clamp_max(total - 1)


def training_target(scheduler: DDIMScheduler, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the network should predict at these timesteps: the noise, or the velocity for a v-prediction model."""
    if scheduler.config.prediction_type == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    return noise


def diffusion_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared error (Eq. 1), as a weighted mean where a weight (B, 1, F, H, W) is given.

    A foreground mask is such a weight: the loss is then the mean over the foreground alone.
    """
    error = (prediction - target).square()
    if weight is None:
        return error.mean()
    weight = weight.expand_as(error)
    return (error * weight).sum() / weight.sum().clamp_min(1e-6)
