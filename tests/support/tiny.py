"""A base model of the pocket architecture at a smaller size, with random weights."""

import dreamvideo  # noqa: F401 (first, since diffusers looks for torchvision)

# isort: split
from types import SimpleNamespace
from typing import get_args

import torch
from diffusers import UNet3DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from pydantic import BaseModel
from torch import Tensor

from dreamvideo.adapters import Adapter, Placement
from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.base_models.contract import Architecture
from dreamvideo.base_models.unet3d import DiffusionSchedule, UNet3DModel, describe_unet, unet_sites
from dreamvideo.methods.contract import MotionData, SubjectData
from dreamvideo.params import BaseModelParams, ComputeParams
from dreamvideo.roles import Role


class TinyModel(UNet3DModel):
    frame_size = 16
    num_frames = 4
    latent_shape = (4, 8, 8)
    appearance_width = 6
    key = "tiny"

    def __init__(self, compute: ComputeParams | None = None) -> None:
        super().__init__(BaseModelParams(name="tiny", weights="tiny", offset_noise=0.1), compute or ComputeParams())
        torch.manual_seed(0)
        self.denoiser = tiny_unet().eval().requires_grad_(False)
        for layer in self.denoiser.modules():
            if isinstance(layer, TemporalConvLayer):  # starts as the identity, which would hide its dropout
                torch.nn.init.normal_(layer.conv4[-1].weight, std=0.05)
        self.schedule = DiffusionSchedule(networks.build_scheduler())
        self.words = torch.randn(32, 8)
        self.vae = torch.randn(4, 3)

    @classmethod
    def architecture(cls, params: BaseModelParams | None = None) -> Architecture:
        return describe_unet(tiny_unet(), cls.appearance_width)

    def encode_text(self, prompts: list[str], placeholder: Tensor | None = None) -> Tensor:
        rows = []
        for prompt in prompts:
            words = (prompt.split() + [""] * 6)[:6]
            rows.append(torch.stack([self._word(word, placeholder) for word in words]))
        return torch.stack(rows)

    def _word(self, word: str, placeholder: Tensor | None) -> Tensor:
        return placeholder if word == "*" and placeholder is not None else self.words[sum(word.encode()) % 32]

    def unread_words(self, prompt: str) -> list[str]:
        return []

    def word_embedding(self, word: str) -> Tensor:
        return self._word(word, None).clone()

    def encode_appearance(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).repeat(1, 2)

    def encode_frames(self, frames: Tensor) -> Tensor:
        small = torch.nn.functional.avg_pool2d(frames.flatten(0, 1), 2)
        latents = torch.einsum("ck,nkhw->nchw", self.vae, small)
        return latents.unflatten(0, frames.shape[:2]).transpose(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
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


def around(denoiser: torch.nn.Module) -> SimpleNamespace:
    """What adapters see of a base model."""
    return SimpleNamespace(denoiser=denoiser, guided=[])


def unet_adapter(
    unet: UNet3DConditionModel, role: Role, placement: Placement = "parallel", appearance_width: int = 6
) -> Adapter:
    """DreamVideo's adapter of a role, untrained."""
    return Adapter(unet_sites(unet, role), 0.5, placement, appearance_width if role is Role.MOTION else None)


class QuietModel(TinyModel):
    """Without dropout, so that training and evaluation agree."""

    def __init__(self, compute: ComputeParams | None = None) -> None:
        super().__init__(compute)
        for module in self.denoiser.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0


def tiny_options(schema: type[BaseModel], **named: object) -> dict:
    """Valid options for any method: every required field at a small value, those called ``named`` at theirs."""
    options = {}
    for name, field in schema.model_fields.items():
        kind = field.annotation
        if name in named:
            options[name] = named[name]
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            options[name] = tiny_options(kind, **named)
        elif field.is_required():
            options[name] = get_args(kind)[0] if get_args(kind) else {int: 2, float: 0.5, bool: True, str: ""}[kind]
    return options


def tiny_subject(masked: bool = True) -> SubjectData:
    """Three images, with the upper left of each in the foreground."""
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    masks = torch.zeros(3, 1, 16, 16)
    masks[:, :, :6, :10] = 1
    return SubjectData("dog", images, masks if masked else None)


def tiny_motion(clips: int = 2) -> MotionData:
    """Clips of six frames, of which the model sees four."""
    frames = torch.rand(clips, 6, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    captions = [f"a dog is jumping {'high ' * index}" for index in range(clips)]
    return MotionData(list(frames), captions, [8.0] * clips, 4, 8.0)
