"""What a frozen video diffusion model offers to methods.

Shapes: B batch, F frames, S pixels a side, C latent channels, H W latent size, N tokens, D text width, C' width of the
appearance embedding.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dreamvideo.params import BaseModelParams, ComputeParams
from dreamvideo.registry import Registry

if TYPE_CHECKING:  # diffusers takes seconds to import, and planning needs none of it
    from diffusers import DDIMScheduler, UNet3DConditionModel

KEPT = 512  # latents, appearances and inverted clips: a few MB each at most
# Torch's own limit is 8. The residual blocks of the paper's UNet meet 14 shapes, each compiled for every batch of training
# and sampling, with and without gradients; what is beyond the limit would run uncompiled, unnoticed.
RECOMPILATIONS = 256


@dataclass(frozen=True)
class Architecture:
    """What decides the size of adapters; the UNet lives on the meta device, without weights."""

    unet: UNet3DConditionModel
    text_width: int  # D
    appearance_width: int  # C'
    published: bool = False  # there were no weights whose configuration to read, so this is the one of the paper


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
    compiled: bool  # the UNet's blocks, where no adapter reaches into
    gradient_checkpointing: bool  # in training, trade a third more time for most of the memory

    def __init__(self, params: BaseModelParams, compute: ComputeParams) -> None:
        self.offset_noise = params.offset_noise
        self.device = compute.torch_device()
        self.precision = getattr(torch, compute.precision)
        self.gradient_checkpointing = compute.gradient_checkpointing
        self.compiled = compute.compiled
        self._kept: OrderedDict[tuple, Tensor] = OrderedDict()

    @classmethod
    @abstractmethod
    def architecture(cls, params: BaseModelParams) -> Architecture:
        """The model without its weights."""

    def place(self, unet: UNet3DConditionModel) -> UNet3DConditionModel:
        """The UNet, frozen, on the device and in the precision."""
        # diffusers' own to() warns of modules that should stay float32, of which this class has none.
        placed = nn.Module.to(unet.eval().requires_grad_(False), self.device, self.precision)
        if self.compiled:
            compile_blocks(placed)
        return placed

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """The UNet's prediction (B, C, F, H, W), float32, of noisy latents (B, C, F, H, W) and text (B, N, D)."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.unet(noisy, timesteps, text).sample.float()

    def once(self, what: str, content: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What a computation gives for some content: computed once in this process, and found by the content's hash.

        Args:
            what: names the computation and all else that decides its result.
            content: images or clips (..., 3, S, S).
            compute: from the content to the result, which nobody may change in place.
        """
        key = (what, tuple(content.shape), hashlib.sha256(content.cpu().contiguous().numpy()).hexdigest())
        if key not in self._kept:
            with torch.no_grad():
                self._kept[key] = compute(content)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

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


def compile_blocks(unet: UNet3DConditionModel) -> None:
    """Compile what adapters do not reach into: convolutional blocks and feed-forwards, for the shapes that they meet.

    The rest are matrix products and fused attention, and hooks that come and go with every composition.
    """
    from diffusers.models.attention import FeedForward
    from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer

    # Blocks of one class share a function, which is compiled for each width that occurs, in training and in sampling.
    torch._dynamo.config.recompile_limit = max(RECOMPILATIONS, torch._dynamo.config.recompile_limit)
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D | TemporalConvLayer | FeedForward):
            module.forward = torch.compile(module.forward, dynamic=False)


# Each is built from a profile's BaseModelParams.
base_models: Registry[type[VideoDiffusionModel]] = Registry("base model")
