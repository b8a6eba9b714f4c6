"""The stages of pretraining, in order: their inputs, their networks and their weight files.

Every stage continues from its checkpoint. It writes its components in float16 with their measured quality.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import nn

from dreamvideo.base_models import pocket_networks as networks
from dreamvideo.base_models.pocket import PocketModel, load_component
from dreamvideo.files import content_key
from dreamvideo.params import BaseModelParams, ComputeParams, PretrainingParams, PretrainingStage
from dreamvideo.pocket_world.oracle import Oracle
from dreamvideo.pretraining import denoiser, encoders, motion_words, quality
from dreamvideo.pretraining.bank import Bank, build_bank
from dreamvideo.pretraining.coherence import agreement_encoders, one_pass_agreement
from dreamvideo.pretraining.loop import Loss, Report, train
from dreamvideo.pretraining.video_quality import video_quality
from dreamvideo.weights import half, read_weights, save_weights

HELD_OUT = 512  # clips that are not used for training
HELD_OUT_SEED = 1_000_000
CAPTIONS = 200  # the number of videos that measure the finished base
ONE_PASS_CLIPS = 64
RECIPE_REVISION = 2  # raise it when networks or losses change


@dataclass(frozen=True)
class Workshop:
    """The place of pretraining: its folders and its clips."""

    base: Path  # folder of the base model's components
    metrics: Path  # folder of the metric encoders
    checkpoints: Path
    params: PretrainingParams
    offset_noise: float
    left: list[Path] = field(default_factory=list)  # files that stages wrote since the list was last emptied

    def render(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Draw the clips of all stages, unless they exist; reports the progress."""
        if "bank" not in self.__dict__:
            self.__dict__["bank"] = build_bank(self.params.clips, self.params.seed, DEVICE, on_progress)

    @cached_property
    def bank(self) -> Bank:
        """The clips, drawn once."""
        return build_bank(self.params.clips, self.params.seed, DEVICE)

    @cached_property
    def held_out(self) -> Bank:
        """Other clips, for measurements."""
        return build_bank(HELD_OUT, self.params.seed + HELD_OUT_SEED, "cpu")

    @cached_property
    def latent_bank(self) -> denoiser.LatentBank:
        """The same clips, encoded by the trained VAE."""
        return denoiser.encode_bank(self.bank, load_component(self.base, "vae", networks.build_vae()).to(DEVICE))

    def checkpoint(self, stage: str) -> Path:
        """The checkpoint of a stage. A change of anything that leads to it gives another file."""
        return self.checkpoints / f"{stage}-{lineage(self.params, self.offset_noise, stage)[:12]}.safetensors"

    def leave(self, folder: Path, component: str, module: nn.Module, stage: PretrainingStage, measured: dict) -> None:
        """Write a component's weights, with its recipe and its quality."""
        schema = {"component": component, "recipe": stage.model_dump(), "seed": self.params.seed, "quality": measured}
        path = folder / f"{component}.safetensors"
        save_weights(path, half(module), schema)
        self.left.append(path)


def lineage(params: PretrainingParams, offset_noise: float, stage: str) -> str:
    """A hash of everything that leads to a stage: earlier recipes, its own without the steps, clips, seed and code."""
    names = list(STAGES)
    before = [getattr(params, name).model_dump() for name in names[: names.index(stage)]]
    own = getattr(params, stage).model_dump(exclude={"steps"})
    return content_key([before, own, params.clips, params.seed, offset_noise, RECIPE_REVISION])


# A GPU only makes it faster; the recipe is the same.
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# A stage writes its files and returns their measured quality.
Stage = Callable[[Workshop, PretrainingStage, Report], dict]


def train_vae(shop: Workshop, stage: PretrainingStage, report: Report) -> dict:
    """The latent autoencoder."""
    torch.manual_seed(shop.params.seed)
    vae = networks.build_vae().to(DEVICE, memory_format=torch.channels_last).train()
    make_loss = lambda one, batch: encoders.vae_loss(one, shop.bank, batch)  # noqa: E731
    train(vae, make_loss, stage, shop.checkpoint("vae"), report)
    denoiser.normalise_latents(vae, shop.bank)
    measured = quality.vae_quality(vae.cpu().eval(), shop.held_out)
    shop.leave(shop.base, "vae", vae, stage, measured)
    return measured


def train_clip(shop: Workshop, stage: PretrainingStage, report: Report, folder: str, component: str, seed: int) -> dict:
    """A contrastive pair of towers. The base's and the metrics' have different seeds."""
    torch.manual_seed(shop.params.seed + seed)
    clip = networks.build_clip().to(DEVICE, memory_format=torch.channels_last).train()
    make_loss = lambda one, batch: encoders.clip_loss(one, shop.bank, batch)  # noqa: E731
    train(clip, make_loss, stage, shop.checkpoint(component), report)
    measured = quality.clip_quality(clip.cpu().eval(), shop.held_out)
    shop.leave(getattr(shop, folder), component, clip, stage, measured)
    return measured


def train_dino(shop: Workshop, stage: PretrainingStage, report: Report) -> dict:
    """A self-distilled vision transformer. The result is the teacher."""
    torch.manual_seed(shop.params.seed + 3)
    dino = encoders.DinoTraining(networks.build_dino(), networks.build_dino()).to(DEVICE).train()
    make_loss = lambda one, batch: encoders.dino_loss(one, shop.bank, batch)  # noqa: E731
    train(dino, make_loss, stage, shop.checkpoint("dino"), report)
    teacher = dino.teacher[0].cpu().eval()
    measured = quality.dino_quality(teacher, shop.params.seed + HELD_OUT_SEED)
    shop.leave(shop.metrics, "dino", teacher, stage, measured)
    return measured


def train_oracle(shop: Workshop, stage: PretrainingStage, report: Report) -> dict:
    """The oracle, which reads the truth of the world."""
    torch.manual_seed(shop.params.seed + 4)
    oracle = Oracle().to(DEVICE).train()
    make_loss = lambda one, batch: encoders.oracle_loss(one, shop.bank, batch)  # noqa: E731
    train(oracle, make_loss, stage, shop.checkpoint("oracle"), report)
    measured = quality.oracle_quality(oracle.cpu().eval(), shop.held_out)
    shop.leave(shop.metrics, "oracle", oracle, stage, measured)
    return measured


def train_images(shop: Workshop, stage: PretrainingStage, report: Report) -> dict:
    """The UNet's spatial half with the text tower, on single frames."""
    model = _denoiser(shop)
    for name, parameter in model.unet.named_parameters():
        parameter.requires_grad_(not any(part.startswith(("temp_", "transformer_in")) for part in name.split(".")))
    how = networks.build_scheduler(), shop.offset_noise
    make_loss = lambda one, batch: denoiser.image_loss(one, shop.latent_bank, batch, *how)  # noqa: E731
    with denoiser.temporal_layers_bypassed(model.unet):
        train(model, make_loss, stage, shop.checkpoint("images"), report)
    _hand_on(shop, "images", model)
    return {}


def train_motion_words(shop: Workshop, stage: PretrainingStage, report: Report) -> dict:
    """The whole UNet with the text tower, at full noise: the words for motions."""
    model = _denoiser(shop)
    model.load_state_dict(read_weights(_finished(shop, "images"))[0])
    motion_words.raise_motion_words(model.text)
    means = motion_words.caption_means(shop.latent_bank, shop.bank.labels)
    how = networks.build_scheduler(), shop.offset_noise
    make_loss = lambda one, batch: motion_words.motion_word_loss(one, means, batch, *how)  # noqa: E731
    train(model, make_loss, stage, shop.checkpoint("motion_words"), report)
    _hand_on(shop, "motion_words", model)
    return {}


def train_clips(shop: Workshop, stage: PretrainingStage, report: Report) -> dict:
    """The whole UNet with the text tower: clips; also images and full noise, so that it forgets neither images nor words."""
    model = _denoiser(shop)
    model.load_state_dict(read_weights(_finished(shop, "motion_words"))[0])
    means = motion_words.caption_means(shop.latent_bank, shop.bank.labels)
    how = networks.build_scheduler(), shop.offset_noise

    def make_loss(one: denoiser.Denoiser, batch: int) -> Loss:
        clips = denoiser.clip_loss(one, shop.latent_bank, batch, *how)
        words = motion_words.full_noise_loss(one, means, batch, *how)
        images = denoiser.image_loss(one, shop.latent_bank, 4 * batch, *how)
        turns = (clips, words, clips, clips, clips, words, clips, images)
        return lambda step, generator: turns[step % len(turns)](step, generator)

    train(model, make_loss, stage, shop.checkpoint("clips_and_images"), report)
    for name, part in (("text", model.text), ("unet", model.unet)):
        shop.leave(shop.base, name, part, stage, {})
    params = BaseModelParams(name="pocket", weights=shop.base, offset_noise=shop.offset_noise)
    base = PocketModel(params, ComputeParams())
    oracle = load_component(shop.metrics, "oracle", Oracle()).to(base.device)
    judges, seed = agreement_encoders(shop.metrics, base.device), shop.params.seed + HELD_OUT_SEED
    measured = video_quality(base, oracle, judges, CAPTIONS, seed)
    measured |= one_pass_agreement(base, shop.held_out, judges, seed, ONE_PASS_CLIPS)
    shop.leave(shop.base, "unet", model.unet, stage, measured)
    return measured


def _finished(shop: Workshop, stage: str) -> Path:
    """The averaged weights that one stage of the UNet gives to the next."""
    checkpoint = shop.checkpoint(stage)
    return checkpoint.with_name(f"finished-{checkpoint.name}")


def _hand_on(shop: Workshop, stage: str, model: nn.Module) -> None:
    save_weights(_finished(shop, stage), model.state_dict(), {})
    shop.left.append(_finished(shop, stage))


def _denoiser(shop: Workshop) -> denoiser.Denoiser:
    """A UNet that starts as an image model, and the text tower of the base's CLIP."""
    torch.manual_seed(shop.params.seed + 5)
    unet = networks.build_unet()
    denoiser.start_as_image_model(unet)
    for convolution in (m for m in unet.modules() if isinstance(m, nn.Conv2d)):
        convolution.weight.data = convolution.weight.data.to(memory_format=torch.channels_last)
    clip = load_component(shop.base, "clip", networks.build_clip()).requires_grad_(True)
    return denoiser.Denoiser(unet, networks.TextTower(clip)).to(DEVICE).train()


# The names are the fields of PretrainingParams. The order is that of the runs.
STAGES: dict[str, Stage] = {
    "vae": train_vae,
    "clip": partial(train_clip, folder="base", component="clip", seed=1),
    "oracle": train_oracle,
    "dino": train_dino,
    "clip_metric": partial(train_clip, folder="metrics", component="clip_metric", seed=2),
    "images": train_images,
    "motion_words": train_motion_words,
    "clips_and_images": train_clips,
}
