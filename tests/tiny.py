"""A base model of the pocket architecture at a smaller size, with random weights."""

import torch
from diffusers import UNet3DConditionModel
from torch import Tensor

from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.base_models.contract import Architecture, VideoDiffusionModel


class TinyModel(VideoDiffusionModel):
    frame_size = 16
    num_frames = 4
    latent_shape = (4, 8, 8)
    appearance_width = 6
    offset_noise = 0.1
    key = "tiny"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.unet = tiny_unet().eval().requires_grad_(False)
        self.scheduler = networks.build_scheduler()
        self.words = torch.randn(32, 8)
        self.vae = torch.randn(4, 3)

    @classmethod
    def architecture(cls) -> Architecture:
        return Architecture(tiny_unet(), 8, cls.appearance_width)

    def encode_text(self, prompts: list[str], placeholder: Tensor | None = None) -> Tensor:
        rows = []
        for prompt in prompts:
            words = (prompt.split() + [""] * 6)[:6]
            rows.append(torch.stack([self._word(word, placeholder) for word in words]))
        return torch.stack(rows)

    def _word(self, word: str, placeholder: Tensor | None) -> Tensor:
        return placeholder if word == "*" and placeholder is not None else self.words[sum(word.encode()) % 32]

    def unknown_words(self, prompt: str) -> list[str]:
        return []

    def word_embedding(self, word: str) -> Tensor:
        return self._word(word, None).clone()

    def encode_appearance(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).repeat(1, 2)

    def encode_frames(self, frames: Tensor) -> Tensor:
        small = torch.nn.functional.avg_pool2d(frames.flatten(0, 1), 2)
        latents = torch.einsum("ck,nkhw->nchw", self.vae, small)
        return latents.unflatten(0, frames.shape[:2]).transpose(1, 2)

    def decode_latents(self, latents: Tensor) -> Tensor:
        pixels = torch.einsum("ck,bcfhw->bfkhw", self.vae, latents).tanh()
        return pixels.repeat_interleave(2, -1).repeat_interleave(2, -2)


def tiny_unet() -> UNet3DConditionModel:
    return UNet3DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=8,
    )
