"""What a frozen video diffusion model offers to methods.

Shapes: B batch, F frames, f latent frames, S pixels a side, C latent channels, H W latent size, N tokens, D text width,
C' width of the appearance embedding.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from dreamvideo.base_models.noise_schedule import NoiseSchedule
from dreamvideo.dataset.prompts import PLACEHOLDER
from dreamvideo.errors import InputError
from dreamvideo.params import BaseModelParams, ComputeParams
from dreamvideo.registry import Registry
from dreamvideo.roles import Role
from dreamvideo.weights import check_finite

# This module imports no diffusers: that takes seconds, and planning needs none of it.
KEPT = 512  # latents, appearances and inverted clips: a few MB each at most
# Torch's own limit is 8. The residual blocks of the paper's UNet meet 14 shapes. Torch compiles each for every batch of
# training and sampling, with and without gradients. It runs what exceeds the limit uncompiled, without a word.
RECOMPILATIONS = 256
NOT_FINITE = "lower the adapters' strengths or the guidance scale, or train again at a lower learning rate"


@dataclass(frozen=True)
class Site:
    """A place beside which an adapter acts: one sublayer of a transformer block, which adds to a residual stream.

    The stream is (M, L, width): M is a multiple of the batch, and the rows of one item are neighbours.
    """

    block: str  # its path in the denoiser
    sublayer: str  # its name in the block; the adapter adds to what it gives
    norm: str  # the name of the layer before it, which receives the stream as it is
    width: int


@dataclass(frozen=True)
class Architecture:
    """What decides the size of adapters; the denoiser is on the meta device, without weights."""

    denoiser: nn.Module
    sites: Mapping[Role, list[Site]]
    text_width: int  # D
    appearance_width: int  # C'
    published: bool = False  # no weights were there, so the sizes are those that the paper's model was published with

    def adapter_sites(self, role: Role) -> list[Site]:
        """Where adapters of a role go."""
        return self.sites[role]


class Guided(Protocol):
    """An adapter in force that treats each item of a batch in its own way."""

    items: slice  # of the next prediction, among the items that it is guided for


class VideoDiffusionModel(ABC):
    """A text-to-video base model; all its weights are frozen."""

    denoiser: nn.Module  # takes noisy latents, timesteps (B,) and text; returns an object with ``sample``
    schedule: NoiseSchedule
    frame_size: int  # S
    num_frames: int  # F
    latent_shape: tuple[int, int, int]  # (C, H, W)
    frame_by_frame: bool = True  # each frame has a latent of its own, and no other frame changes it
    appearance_width: int  # C'
    offset_noise: float
    key: str  # hash of the weights
    device: torch.device
    precision: torch.dtype  # of the denoiser's frozen weights and matrix products; adapters and latents are float32
    compiled: bool  # the blocks that :meth:`compiled_blocks` names
    gradient_checkpointing: bool  # in training, trade a third more time for most of the memory

    def __init__(self, params: BaseModelParams, compute: ComputeParams) -> None:
        self.offset_noise = params.offset_noise
        self.device = compute.torch_device()
        self.precision = getattr(torch, compute.precision)
        self.gradient_checkpointing = compute.gradient_checkpointing
        self.compiled = compute.compiled
        self.guided: list[Guided] = []  # adapters in force
        self._kept: OrderedDict[tuple, Tensor] = OrderedDict()

    @classmethod
    @abstractmethod
    def architecture(cls, params: BaseModelParams) -> Architecture:
        """The model without its weights."""

    @abstractmethod
    def adapter_sites(self, role: Role) -> list[Site]:
        """Where adapters of a role go, in the order in which they are initialised."""

    @abstractmethod
    def recomputed_blocks(self) -> list[nn.Module]:
        """The blocks of the denoiser that keep their input alone in training, where gradient checkpointing is on."""

    @abstractmethod
    def compiled_blocks(self) -> list[nn.Module]:
        """The blocks of the denoiser that torch compiles, where that is on; no adapter has a hook inside one."""

    def latent_frames(self, frames: int) -> int:
        """How many latent frames f a clip of F frames has.

        Raises:
            InputError: the base model has no clips of this length.
        """
        return frames

    def place(self, denoiser: nn.Module) -> None:
        """Take the denoiser, frozen, to the device and the precision, and compile its blocks where that is on."""
        # diffusers' own to() warns of modules that should stay float32.
        self.denoiser = nn.Module.to(denoiser.eval().requires_grad_(False), self.device, self.precision)
        if self.compiled:
            compile_blocks(self.compiled_blocks())

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Tensor, items: slice = slice(None)) -> Tensor:
        """The denoiser's prediction.

        Args:
            noisy: latents (B, C, f, H, W).
            timesteps: one for all, or (B,).
            text: (B, N, D).
            items: the items of this prediction, among those that adapters are guided for; all as a rule.

        Returns:
            (B, C, f, H, W), float32.
        """
        for adapter in self.guided:
            adapter.items = items
        timesteps = timesteps.to(noisy.device).expand(len(noisy))
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.denoiser(noisy, timesteps, text).sample.float()

    def once(self, what: str, content: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """The result of a computation on some content. It runs once in this process; later calls find it by a hash.

        Args:
            what: names the computation and all else that decides its result.
            content: images or clips (..., 3, S, S).
            compute: from the content to the result. Callers must not change the result in place.
        """
        key = (what, tuple(content.shape), hashlib.sha256(content.cpu().contiguous().numpy().tobytes()).hexdigest())
        if key not in self._kept:
            with torch.no_grad():
                self._kept[key] = compute(content)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    @abstractmethod
    def encode_text(self, prompts: list[str], placeholder: Tensor | None = None) -> Tensor:
        """Token embeddings of prompts.

        Args:
            prompts: B texts.
            placeholder: the embedding (D,) that stands for ``*`` and keeps its gradient; None: ``*`` is a plain sign.

        Returns:
            (B, N, D).

        Raises:
            InputError: there is a placeholder, and a prompt's ``*`` is not read exactly once (:func:`check_read_once`).
        """

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
        """Latents (B, C, f, H, W) of clips (B, F, 3, S, S) in [-1, 1]; an image is a clip of one frame."""

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Clips (B, F, 3, S, S) in [-1, 1] of latents (B, C, f, H, W).

        Raises:
            NotFiniteError: the latents or the frames are not finite.
        """
        check_finite("a latent", latents, remedy=NOT_FINITE)
        frames = self.decode(latents)
        check_finite("a decoded frame", frames, remedy=NOT_FINITE)
        return frames.clamp(-1, 1)

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """What the decoder gives for latents (B, C, f, H, W): clips (B, F, 3, S, S), which may exceed [-1, 1]."""


def check_read_once(prompts: list[str], read: Tensor) -> None:
    """Make sure that the learnt word is not lost: each ``*`` is read, and read once.

    Args:
        prompts: B texts; one without ``*`` needs no learnt word.
        read: where the tokenizer found the placeholder, booleans (B, N).

    Raises:
        InputError: a prompt has several, or has it beyond the length that the base model reads.
    """
    for prompt, count in zip(prompts, read.sum(1).tolist(), strict=True):
        if PLACEHOLDER in prompt and count != 1:
            raise InputError(
                f"prompt {prompt!r}: the base model reads {PLACEHOLDER} {count} times, must read it exactly once; "
                f"write one {PLACEHOLDER}, near the beginning"
            )


def compile_blocks(blocks: list[nn.Module]) -> None:
    """Compile blocks for each shape that they meet."""
    # Blocks of one class share a function. Torch compiles it for each width that occurs, in training and in sampling.
    torch._dynamo.config.recompile_limit = max(RECOMPILATIONS, torch._dynamo.config.recompile_limit)
    for block in blocks:
        block.forward = torch.compile(block.forward, dynamic=False)


# Each is built from a profile's BaseModelParams.
base_models: Registry[type[VideoDiffusionModel]] = Registry("base model")
