"""Train the video UNet with its text tower: first on single frames, then on clips.

Shapes: N clips, B batch, F frames, C latent channels, h latent size, V caption variants, T tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn
from torch.nn import functional

from dreamvideo.base_models.pocket_networks import LATENT_SIZE, TextTower
from dreamvideo.diffusion import diffusion_loss, make_noise, stratified_timesteps, training_target
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.pretraining.bank import Bank, to_signal
from dreamvideo.pretraining.loop import Loss

CAPTION_DROPOUT = 0.1
FOREGROUND_WEIGHT = 6.0  # added to 1: the UNet learns scenes early and shapes late
# Of the timesteps: much noise decides shapes, and even more noise decides paths.
IMAGE_NOISE_EXPONENT, CLIP_NOISE_EXPONENT = 0.5, 0.28


@dataclass
class LatentBank:
    """The bank, encoded for the UNet."""

    latents: Tensor  # (N, F, C, h, h) float16
    foreground: Tensor  # (N, F, 1, h, h) float16, share of each latent cell
    image_tokens: Tensor  # (N, V, T)
    clip_tokens: Tensor  # (N, V, T)


@torch.no_grad()
def encode_bank(bank: Bank, vae: AutoencoderKL) -> LatentBank:
    """Encode every frame of the bank once."""
    vae = vae.to(memory_format=torch.channels_last)
    latents, foreground = [], []
    # Sixteen frames at a time fit into a CPU's cache. This halves the time.
    for clips, masks in zip(bank.pixels.split(2), bank.masks.split(2), strict=True):
        signal = to_signal(clips.flatten(0, 1)).contiguous(memory_format=torch.channels_last)
        encoded = vae.encode(signal).latent_dist.mean
        latents.append(encoded.half().unflatten(0, clips.shape[:2]))
        cover = functional.adaptive_avg_pool2d(masks.flatten(0, 1).float() / 255, LATENT_SIZE)
        foreground.append(cover.half().unflatten(0, clips.shape[:2]))
    return LatentBank(torch.cat(latents), torch.cat(foreground), bank.image_tokens, bank.clip_tokens)


@torch.no_grad()
def normalise_latents(vae: AutoencoderKL, bank: Bank) -> None:
    """Give every latent channel mean 0 and deviation 1. The VAE's 1 x 1 convolutions take the change."""
    frames = to_signal(bank.pixels[:512, ::4].flatten(0, 1))
    latents = torch.cat([vae.encode(chunk).latent_dist.mean for chunk in frames.split(128)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    channels = len(mean)
    before, after = vae.quant_conv, vae.post_quant_conv
    before.weight[:channels] /= deviation[:, None, None, None]
    before.bias[:channels] = (before.bias[:channels] - mean) / deviation
    before.bias[channels:] -= 2 * deviation.log()
    after.bias += (after.weight[:, :, 0, 0] * mean).sum(1)
    after.weight *= deviation[None, :, None, None]


def start_as_image_model(unet: UNet3DConditionModel) -> None:
    """Make every temporal transformer start as the identity. The temporal convolutions do so by themselves."""
    for module in unet.modules():
        if isinstance(module, TransformerTemporalModel):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)


@contextmanager
def temporal_layers_bypassed(unet: UNet3DConditionModel) -> Iterator[None]:
    """Within the block, the temporal layers return their input, so that one frame has the cost of one frame."""
    layers = [m for m in unet.modules() if isinstance(m, TemporalConvLayer | TransformerTemporalModel)]
    for layer in layers:
        passing = (lambda x, **_: (x,)) if isinstance(layer, TransformerTemporalModel) else (lambda x, **_: x)
        layer.forward = passing
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


class Denoiser(nn.Module):
    """The UNet and the text tower that conditions it, trained together."""

    def __init__(self, unet: UNet3DConditionModel, text: TextTower) -> None:
        super().__init__()
        self.unet, self.text = unet, text


def image_loss(denoiser: Denoiser, bank: LatentBank, batch: int, scheduler: DDIMScheduler, offset: float) -> Loss:
    """Eq. 1 on single frames."""

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        return _loss(denoiser, *_frames(bank, batch, generator), scheduler, offset, IMAGE_NOISE_EXPONENT, generator)

    return loss_of


def clip_loss(denoiser: Denoiser, bank: LatentBank, batch: int, scheduler: DDIMScheduler, offset: float) -> Loss:
    """Eq. 1 on clips."""

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        clips, variants = _draw(bank, batch, generator)
        drawn = bank.latents[clips], bank.foreground[clips], bank.clip_tokens[clips, variants]
        return _loss(denoiser, *drawn, scheduler, offset, CLIP_NOISE_EXPONENT, generator)

    return loss_of


def _draw(bank: LatentBank, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random clips and caption variants (B,) each."""
    device = bank.latents.device
    clips = torch.randint(len(bank.latents), (batch,), generator=generator).to(device)
    return clips, torch.randint(bank.image_tokens.shape[1], (batch,), generator=generator).to(device)


def _frames(bank: LatentBank, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random single frames, as clips of one frame."""
    clips, variants = _draw(bank, batch, generator)
    frames = torch.randint(bank.latents.shape[1], (batch,), generator=generator).to(clips.device)
    return (
        bank.latents[clips, frames][:, None],
        bank.foreground[clips, frames][:, None],
        bank.image_tokens[clips, variants],
    )


def _loss(
    denoiser: Denoiser, latents: Tensor, foreground: Tensor, tokens: Tensor,
    scheduler: DDIMScheduler, offset: float, exponent: float, generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Eq. 1 with the foreground and its rim counted more; latents (B, F, C, h, h), tokens (B, T)."""
    device = latents.device
    latents, foreground = latents.float().transpose(1, 2), foreground.float().transpose(1, 2)
    batch = len(latents)
    noise = make_noise(tuple(latents.shape), generator, offset).to(device)
    total = scheduler.config.num_train_timesteps
    timesteps = stratified_timesteps(batch, total, generator, exponent).to(device)
    empty = (torch.rand(batch, generator=generator) < CAPTION_DROPOUT).to(device)
    tokens = torch.where(empty[:, None], tokenize([""]).to(device), tokens)
    return weighted_loss(denoiser, latents, noise, timesteps, tokens, foreground_weight(foreground), scheduler)


def weighted_loss(
    denoiser: Denoiser, latents: Tensor, noise: Tensor, timesteps: Tensor, tokens: Tensor, weight: Tensor,
    scheduler: DDIMScheduler,
) -> Tensor:  # fmt: skip
    """Eq. 1 of latents and noise (B, C, F, h, h) at timesteps (B,), tokens (B, T), under a weight (B, 1, F, h, h)."""
    device = latents.device
    noisy = scheduler.add_noise(latents, noise, timesteps)
    target = training_target(scheduler, latents, noise, timesteps)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        prediction = denoiser.unet(noisy, timesteps, denoiser.text(tokens)).sample
    return diffusion_loss(prediction.float(), target, weight)


def foreground_weight(foreground: Tensor) -> Tensor:
    """Weights of the loss (B, 1, F, h, h): the foreground and the cells around it count more."""
    return 1 + FOREGROUND_WEIGHT * functional.max_pool3d(foreground, (1, 3, 3), stride=1, padding=(0, 1, 1))
