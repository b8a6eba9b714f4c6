"""The stages of pretraining, in order: what each trains, from what, and which weight files it leaves.

Every stage continues from its checkpoint, and leaves its components in float16 with their measured quality.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import nn

from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.base_models.pocket import PocketModel, load_component
from dreamvideo.dataset.pocket_world.oracle import Oracle
from dreamvideo.params import BaseModelParams, PretrainingParams, StageParams
from dreamvideo.pretraining import denoiser, encoders, quality
from dreamvideo.pretraining.bank import Bank, build_bank
from dreamvideo.pretraining.loop import Report, train
from dreamvideo.pretraining.video_quality import video_quality
from dreamvideo.weights import half, read_weights, save_weights

HELD_OUT = 512  # clips that no training sees
HELD_OUT_SEED = 1_000_000
CAPTIONS = 200  # videos that the finished base is judged by


@dataclass(frozen=True)
class Workshop:
    """Where pretraining happens: its folders, and the clips it draws from."""

    base: Path  # folder of the base model's components
    metrics: Path  # folder of the metric encoders
    checkpoints: Path
    params: PretrainingParams
    offset_noise: float
    on_render: Callable[[int], None] | None = None

    @cached_property
    def bank(self) -> Bank:
        """The rendered clips, drawn once."""
        return build_bank(self.params.clips, self.params.seed, DEVICE, self.on_render)

    @cached_property
    def held_out(self) -> Bank:
        """Other clips, to measure on."""
        return build_bank(HELD_OUT, self.params.seed + HELD_OUT_SEED, "cpu")

    @cached_property
    def latent_bank(self) -> denoiser.LatentBank:
        """The same clips as the trained VAE encodes them."""
        return denoiser.encode_bank(self.bank, load_component(self.base, "vae", networks.build_vae()).to(DEVICE))

    def leave(self, folder: Path, component: str, module: nn.Module, stage: StageParams, measured: dict) -> None:
        """Write a component's weights, with its recipe and its quality."""
        schema = {"component": component, "recipe": stage.model_dump(), "seed": self.params.seed, "quality": measured}
        save_weights(folder / f"{component}.safetensors", half(module), schema)


# A GPU only makes it faster; the recipe is the same.
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# A stage leaves its files, and returns what was measured of them.
Stage = Callable[[Workshop, StageParams, Report], dict]


def train_vae(shop: Workshop, stage: StageParams, report: Report) -> dict:
    """The latent autoencoder."""
    torch.manual_seed(shop.params.seed)
    vae = networks.build_vae().to(DEVICE, memory_format=torch.channels_last).train()
    train(vae, encoders.vae_loss(vae, shop.bank, stage.batch_size), stage, shop.checkpoints / "vae.safetensors", report)
    denoiser.normalise_latents(vae, shop.bank)
    measured = quality.vae_quality(vae.cpu().eval(), shop.held_out)
    shop.leave(shop.base, "vae", vae, stage, measured)
    return measured


def train_clip(shop: Workshop, stage: StageParams, report: Report, folder: str, component: str, seed: int) -> dict:
    """A contrastive pair of towers; the base's and the metrics' differ in seed."""
    torch.manual_seed(shop.params.seed + seed)
    clip = networks.build_clip().to(DEVICE, memory_format=torch.channels_last).train()
    loss = encoders.clip_loss(clip, shop.bank, stage.batch_size)
    train(clip, loss, stage, shop.checkpoints / f"{component}.safetensors", report)
    measured = quality.clip_quality(clip.cpu().eval(), shop.held_out)
    shop.leave(getattr(shop, folder), component, clip, stage, measured)
    return measured


def train_dino(shop: Workshop, stage: StageParams, report: Report) -> dict:
    """A self-distilled vision transformer; the teacher is what is kept."""
    torch.manual_seed(shop.params.seed + 3)
    dino = encoders.DinoTraining(networks.build_dino(), networks.build_dino()).to(DEVICE).train()
    train(
        dino,
        encoders.dino_loss(dino, shop.bank, stage.batch_size),
        stage,
        shop.checkpoints / "dino.safetensors",
        report,
    )
    teacher = dino.teacher[0].cpu().eval()
    measured = quality.dino_quality(teacher, shop.params.seed + HELD_OUT_SEED)
    shop.leave(shop.metrics, "dino", teacher, stage, measured)
    return measured


def train_oracle(shop: Workshop, stage: StageParams, report: Report) -> dict:
    """The read-out of the world's truth."""
    torch.manual_seed(shop.params.seed + 4)
    oracle = Oracle().to(DEVICE).train()
    loss = encoders.oracle_loss(oracle, shop.bank, stage.batch_size)
    train(oracle, loss, stage, shop.checkpoints / "oracle.safetensors", report)
    measured = quality.oracle_quality(oracle.cpu().eval(), shop.held_out)
    shop.leave(shop.metrics, "oracle", oracle, stage, measured)
    return measured


def train_images(shop: Workshop, stage: StageParams, report: Report) -> dict:
    """The UNet's spatial half with the text tower, on single frames."""
    model = _denoiser(shop)
    for name, parameter in model.unet.named_parameters():
        parameter.requires_grad_(not any(part.startswith(("temp_", "transformer_in")) for part in name.split(".")))
    scheduler = networks.build_scheduler()
    loss = denoiser.image_loss(model, shop.latent_bank, stage.batch_size, scheduler, shop.offset_noise)
    train(model, loss, stage, shop.checkpoints / "images.safetensors", report)
    save_weights(shop.checkpoints / IMAGES_DONE, model.state_dict(), {})
    return {}


def train_clips(shop: Workshop, stage: StageParams, report: Report) -> dict:
    """The whole UNet with the text tower, on clips and single frames."""
    model = _denoiser(shop)
    model.load_state_dict(read_weights(shop.checkpoints / IMAGES_DONE)[0])
    scheduler = networks.build_scheduler()
    loss = denoiser.clip_and_image_loss(model, shop.latent_bank, stage.batch_size, scheduler, shop.offset_noise)
    train(model, loss, stage, shop.checkpoints / "clips.safetensors", report)
    shop.leave(shop.base, "text", model.text, stage, {})
    shop.leave(shop.base, "unet", model.unet, stage, {})
    base = PocketModel(BaseModelParams(name="pocket", weights=shop.base, offset_noise=shop.offset_noise))
    oracle = load_component(shop.metrics, "oracle", Oracle())
    measured = video_quality(base, oracle, CAPTIONS, shop.params.seed + HELD_OUT_SEED)
    shop.leave(shop.base, "unet", model.unet, stage, measured)
    return measured


IMAGES_DONE = "images_done.safetensors"


def _denoiser(shop: Workshop) -> denoiser.Denoiser:
    """A UNet that starts as an image model, and the text tower of the base's CLIP."""
    torch.manual_seed(shop.params.seed + 5)
    unet = networks.build_unet()
    denoiser.start_as_image_model(unet)
    for convolution in (m for m in unet.modules() if isinstance(m, nn.Conv2d)):
        convolution.to(memory_format=torch.channels_last)
    clip = load_component(shop.base, "clip", networks.build_clip()).requires_grad_(True)
    return denoiser.Denoiser(unet, networks.TextTower(clip)).to(DEVICE).train()


# By the names of PretrainingParams' fields, in the order in which they can run.
STAGES: dict[str, Stage] = {
    "vae": train_vae,
    "clip": partial(train_clip, folder="base", component="clip", seed=1),
    "oracle": train_oracle,
    "dino": train_dino,
    "clip_metric": partial(train_clip, folder="metrics", component="clip_metric", seed=2),
    "images": train_images,
    "clips_and_images": train_clips,
}
