"""The stages of pretraining, in order: what each trains, from what, and which weight files it leaves.

Every stage continues from its checkpoint and leaves ``<component>.safetensors`` in float16 under the output folder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.dataset.pocket_world.oracle import Oracle
from dreamvideo.pretraining import denoiser, encoders
from dreamvideo.pretraining.bank import Bank, build_bank
from dreamvideo.pretraining.loop import Report, Schedule, train
from dreamvideo.weights import half, load_into, read_weights, save_weights


@dataclass(frozen=True)
class Workshop:
    """Where pretraining happens: its folders, its device and the clips it draws from."""

    output: Path
    checkpoints: Path
    clips: int
    seed: int
    device: str
    offset_noise: float
    on_render: Callable[[int], None] | None = None

    @cached_property
    def bank(self) -> Bank:
        """The rendered clips, drawn once."""
        return build_bank(self.clips, self.seed, self.device, self.on_render)

    @cached_property
    def latent_bank(self) -> denoiser.LatentBank:
        """The same clips as the trained VAE encodes them."""
        return denoiser.encode_bank(self.bank, self.load("vae", networks.build_vae()))

    def load(self, component: str, module: nn.Module) -> nn.Module:
        """A component that an earlier stage left."""
        path = self.output / f"{component}.safetensors"
        tensors, _ = read_weights(path, component=component)
        load_into(module, tensors, path)
        return module.to(self.device).eval()

    def leave(self, component: str, module: nn.Module, schedule: Schedule) -> None:
        """Write a component's weights."""
        schema = {"component": component, "steps": schedule.steps, "batch_size": schedule.batch_size, "seed": self.seed}
        save_weights(self.output / f"{component}.safetensors", half(module), schema)


def train_vae(shop: Workshop, schedule: Schedule, report: Report) -> None:
    """The latent autoencoder."""
    torch.manual_seed(shop.seed)
    vae = networks.build_vae().to(shop.device, memory_format=torch.channels_last).train()
    loss = encoders.vae_loss(vae, shop.bank, schedule.batch_size)
    train(vae, loss, schedule, shop.checkpoints / "vae.safetensors", report)
    denoiser.normalise_latents(vae, shop.bank)
    shop.leave("vae", vae, schedule)


def train_clip(shop: Workshop, schedule: Schedule, report: Report, component: str, seed: int) -> None:
    """A contrastive pair of towers; the base's and the metrics' differ in seed."""
    torch.manual_seed(shop.seed + seed)
    clip = networks.build_clip().to(shop.device).train()
    loss = encoders.clip_loss(clip, shop.bank, schedule.batch_size)
    train(clip, loss, schedule, shop.checkpoints / f"{component}.safetensors", report)
    shop.leave(component, clip, schedule)


def train_dino(shop: Workshop, schedule: Schedule, report: Report) -> None:
    """A self-distilled vision transformer; the teacher is what is kept."""
    torch.manual_seed(shop.seed + 3)
    dino = encoders.DinoTraining(networks.build_dino(), networks.build_dino()).to(shop.device).train()
    loss = encoders.dino_loss(dino, shop.bank, schedule.batch_size)
    train(dino, loss, schedule, shop.checkpoints / "dino.safetensors", report)
    shop.leave("dino", dino.teacher[0], schedule)


def train_oracle(shop: Workshop, schedule: Schedule, report: Report) -> None:
    """The read-out of the world's truth."""
    torch.manual_seed(shop.seed + 4)
    oracle = Oracle().to(shop.device).train()
    loss = encoders.oracle_loss(oracle, shop.bank, schedule.batch_size)
    train(oracle, loss, schedule, shop.checkpoints / "oracle.safetensors", report)
    shop.leave("oracle", oracle, schedule)


def train_images(shop: Workshop, schedule: Schedule, report: Report) -> None:
    """The UNet's spatial half with the text tower, on single frames."""
    model = _denoiser(shop)
    for name, parameter in model.unet.named_parameters():
        parameter.requires_grad_(not any(part.startswith(("temp_", "transformer_in")) for part in name.split(".")))
    loss = denoiser.image_loss(model, shop.latent_bank, schedule.batch_size, networks.build_scheduler(), shop.offset_noise)
    train(model, loss, schedule, shop.checkpoints / "images.safetensors", report)
    save_weights(shop.checkpoints / "images_done.safetensors", model.state_dict(), {})


def train_clips(shop: Workshop, schedule: Schedule, report: Report) -> None:
    """The whole UNet with the text tower, on clips and single frames."""
    model = _denoiser(shop)
    model.load_state_dict(read_weights(shop.checkpoints / "images_done.safetensors")[0])
    loss = denoiser.clip_and_image_loss(
        model, shop.latent_bank, schedule.batch_size, networks.build_scheduler(), shop.offset_noise
    )
    train(model, loss, schedule, shop.checkpoints / "clips.safetensors", report)
    shop.leave("unet", model.unet, schedule)
    shop.leave("text", model.text, schedule)


def _denoiser(shop: Workshop) -> denoiser.Denoiser:
    """A UNet that starts as an image model, and the text tower of the base's CLIP."""
    torch.manual_seed(shop.seed + 5)
    unet = networks.build_unet()
    denoiser.start_as_image_model(unet)
    for convolution in (m for m in unet.modules() if isinstance(m, nn.Conv2d)):
        convolution.to(memory_format=torch.channels_last)
    clip = shop.load("clip", networks.build_clip())
    return denoiser.Denoiser(unet, networks.TextTower(clip)).to(shop.device).train()
