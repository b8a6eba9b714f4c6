"""What a frozen video diffusion model offers to methods.

Shapes: B batch, F frames, S pixels a side, C latent channels, H W latent size, N tokens, D text width, C' width of the
appearance embedding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dreamvideo.params import BaseModelParams, ComputeParams
from dreamvideo.registry import Registry

if TYPE_CHECKING:  # diffusers takes seconds to import, and planning needs none of it
    from diffusers import DDIMScheduler, UNet3DConditionModel


@dataclass(frozen=True)
class Architecture:
    """What decides the size of adapters; the UNet lives on the meta device, without weights."""

    unet: UNet3DConditionModel
    text_width: int  # D
    appearance_width: int  # C'


class VideoDiffusionModel(ABC):
    """A text-to-video base model; all its weights are frozen."""

    unet: UNet3DConditionModel
    scheduler: DDIMScheduler
    frame_size: int  # S
    num_frames: int  # F
    latent_shape: tuple[int, int, int]  # (C, H, W)
    appearance_width: int  # C'
    offset_noise: float
    key: str  # hash of the weights
    device: torch.device
    precision: torch.dtype  # of the UNet's frozen weights and matrix products; adapters and latents are float32
    gradient_checkpointing: bool  # in training, trade a third more time for most of the memory

    def __init__(self, params: BaseModelParams, compute: ComputeParams) -> None:
        self.offset_noise = params.offset_noise
        self.device = compute.torch_device()
        self.precision = getattr(torch, compute.precision)
        self.gradient_checkpointing = compute.gradient_checkpointing

    @classmethod
    @abstractmethod
    def architecture(cls, params: BaseModelParams) -> Architecture:
        """The model without its weights."""

    def place(self, unet: UNet3DConditionModel) -> UNet3DConditionModel:
        """The UNet, frozen, on the device and in the precision."""
        # diffusers' own to() warns of modules that should stay float32, of which this class has none.
        return nn.Module.to(unet.eval().requires_grad_(False), self.device, self.precision)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """The UNet's prediction (B, C, F, H, W), float32, of noisy latents (B, C, F, H, W) and text (B, N, D)."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.unet(noisy, timesteps, text).sample.float()

    @abstractmethod
    def encode_text(self, prompts: list[str], placeholder: Tensor | None = None) -> Tensor:
        """Token embeddings (B, N, D); ``placeholder`` (D,) stands for every ``*`` and keeps its gradient."""

    @abstractmethod
    def unread_words(self, prompt: str) -> list[str]:
        """The words of a prompt without effect: unknown to the model, or beyond the length that it reads."""

    @abstractmethod
    def word_embedding(self, word: str) -> Tensor:
        """The embedding (D,) of a word, from which a textual inversion starts."""

    @abstractmethod
    def encode_appearance(self, images: Tensor) -> Tensor:
        """Image embeddings (B, C') of images (B, 3, S, S) in [-1, 1]."""

    @abstractmethod
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Latents (B, C, F, H, W) of clips (B, F, 3, S, S) in [-1, 1]."""

    @abstractmethod
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Clips (B, F, 3, S, S) in [-1, 1] of latents (B, C, F, H, W)."""


# Each is built from a profile's BaseModelParams.
base_models: Registry[type[VideoDiffusionModel]] = Registry("base model")
