"""The pocket base model: trained by this project from its procedural world, small enough for two CPU cores."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.base_models.contract import Architecture, base_models, check_read_once
from dreamvideo.base_models.loading import base_model_key, local_folder
from dreamvideo.base_models.unet3d import DiffusionSchedule, UNet3DModel, describe_unet
from dreamvideo.params import BaseModelParams, ComputeParams
from dreamvideo.pocket_world.tokenizer import PLACEHOLDER_ID, tokenize, unread_words
from dreamvideo.weights import load_into, read_weights

Network = TypeVar("Network", bound=nn.Module)


def load_component(folder: Path, component: str, module: Network) -> Network:
    """One of the pocket networks, with its weights, frozen."""
    path = folder / f"{component}.safetensors"
    tensors, _ = read_weights(path, component=component)
    load_into(module, tensors, path)
    for convolution in (part for part in module.modules() if isinstance(part, nn.Conv2d)):
        convolution.weight.data = convolution.weight.data.to(
            memory_format=torch.channels_last
        )  # a fifth faster on CPUs
    return module.eval().requires_grad_(False)


@base_models.register("pocket")
class PocketModel(UNet3DModel):
    """A UNet3DConditionModel over 4 x 16 x 16 latents of 64 x 64 frames, eight frames at 8 fps."""

    frame_size = networks.FRAME_SIZE
    num_frames = networks.NUM_FRAMES
    latent_shape = (4, networks.LATENT_SIZE, networks.LATENT_SIZE)
    appearance_width = networks.TEXT_WIDTH
    schedule: DiffusionSchedule

    def __init__(self, params: BaseModelParams, compute: ComputeParams) -> None:
        super().__init__(params, compute)
        folder = local_folder(params.weights)
        self.key = base_model_key(params)
        self.place(load_component(folder, "unet", networks.build_unet()))
        self.vae = load_component(folder, "vae", networks.build_vae()).to(self.device)
        self.text = load_component(folder, "text", networks.build_text_tower()).to(self.device)
        self.clip = load_component(folder, "clip", networks.build_clip()).to(self.device)
        self.schedule = DiffusionSchedule(networks.build_scheduler())

    @classmethod
    def architecture(cls, params: BaseModelParams) -> Architecture:
        """The model without its weights."""
        with torch.device("meta"):
            return describe_unet(networks.build_unet(), cls.appearance_width)

    def encode_text(self, prompts: list[str], placeholder: Tensor | None = None) -> Tensor:
        """Token embeddings (B, N, D)."""
        ids = tokenize(prompts)
        if placeholder is None:
            return self.text(ids.to(self.device))
        read = ids == PLACEHOLDER_ID
        check_read_once(prompts, read)
        return self.text(ids.to(self.device), read.to(self.device), placeholder)

    def unread_words(self, prompt: str) -> list[str]:
        """Words outside the procedural world, and those after the fourteenth."""
        return unread_words(prompt)

    def word_embedding(self, word: str) -> Tensor:
        """The embedding (D,) of the first word of ``word``."""
        return self.text.token_embedding(tokenize([word])[0, 1].to(self.device)).clone()

    @torch.no_grad()
    def encode_appearance(self, images: Tensor) -> Tensor:
        """Image embeddings (B, C')."""
        return self.clip.encode_image(images.to(self.device))

    @torch.no_grad()
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Latents (B, C, F, H, W)."""
        latents = self.vae.encode(frames.flatten(0, 1).to(self.device)).latent_dist.mean
        return latents.unflatten(0, frames.shape[:2]).transpose(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        """Clips (B, F, 3, S, S)."""
        batch, _, frames = latents.shape[:3]
        decoded = self.vae.decode(latents.transpose(1, 2).flatten(0, 1)).sample
        return decoded.unflatten(0, (batch, frames))
