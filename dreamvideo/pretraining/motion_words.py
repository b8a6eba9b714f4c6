"""Teach the UNet and its text tower the words for motions at full noise, where this costs least.

At the last timestep the input is only noise, so all clips with the same caption have the same input. One forward pass
against their mean gives the gradient of all of them together.

A motion's word, the moment and the place only mean something together. Gradient descent finds nothing to follow in a
product of three unknowns with mean zero. So the UNet first learns what a word means for the place in the first frame. Then
it learns the later frames. These count less, so that the mean over the frames does not undo the first lesson.

Shapes: K captions, B batch, F frames, C latent channels, h latent size, T tokens.
"""

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn import functional

from dreamvideo.base_models.pocket_networks import TextTower
from dreamvideo.diffusion import make_noise
from dreamvideo.pocket_world.sampling import MOTION_NAMES, SCENE_NAMES
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.pocket_world.vocabulary import CLASSES, DIRECTIONS, FAMILIES, MOTIONS, SCENES
from dreamvideo.pretraining.bank import LABELS, UNNAMED
from dreamvideo.pretraining.denoiser import (
    Denoiser,
    LatentBank,
    foreground_weight,
    temporal_layers_bypassed,
    weighted_loss,
)
from dreamvideo.pretraining.loop import Loss

FIRST_FRAME_STEPS = 300
FRAMES_PER_CLIP = 4  # a step on first frames takes four frames in place of each clip, because frames are cheap
LAST_FRAME_WEIGHT = 0.3  # of the weight of the first frame


@dataclass
class CaptionMeans:
    """The mean clip of every caption that names class, motion and scene."""

    latents: Tensor  # (K, C, F, h, h), the mean under the loss's weights
    weight: Tensor  # (K, 1, F, h, h), the mean weight
    tokens: Tensor  # (K, T)


def caption_means(bank: LatentBank, labels: Tensor) -> CaptionMeans:
    """Gather the clips of each caption; labels (N, len(LABELS)). Clips without a named motion are left out."""
    named = labels[:, LABELS.index("motion")] != UNNAMED
    told = labels[:, [LABELS.index(name) for name in ("subject_class", "motion", "scene")]]
    captions = told[named].unique(dim=0)
    latents, weights = [], []
    for index in range(len(captions)):
        chosen = (told == captions[index]).all(1)
        weight = foreground_weight(bank.foreground[chosen].float().transpose(1, 2))
        latents.append((bank.latents[chosen].float().transpose(1, 2) * weight).sum(0) / weight.sum(0))
        weights.append(weight.mean(0))
    words = [
        f"a {CLASSES[kind]} is {MOTIONS[MOTION_NAMES[motion]]} {SCENES[SCENE_NAMES[scene]]}"
        for kind, motion, scene in captions.tolist()
    ]
    return CaptionMeans(torch.stack(latents), torch.stack(weights), tokenize(words).to(labels.device))


@torch.no_grad()
def raise_motion_words(text: TextTower) -> None:
    """Give the embeddings of words that no image caption uses the length of the others, so that the UNet tells them apart."""
    seen = _ids(tokenize([*CLASSES, *SCENES.values()]))
    new = sorted(_ids(tokenize([*MOTIONS.values(), *FAMILIES.values(), *DIRECTIONS.values()])) - seen)
    table = text.token_embedding.weight
    table[new] = functional.normalize(table[new], dim=1) * table[sorted(seen)].norm(dim=1).median()


def _ids(tokens: Tensor) -> set[int]:
    return set(tokens.unique().tolist())


def motion_word_loss(
    denoiser: Denoiser, means: CaptionMeans, batch: int, scheduler: DDIMScheduler, offset: float
) -> Loss:
    """Eq. 1 at the last timestep: first on first frames without the temporal layers, then on clips."""
    first_frames = CaptionMeans(means.latents[:, :, :1], means.weight[:, :, :1], means.tokens)
    on_frames = full_noise_loss(denoiser, first_frames, FRAMES_PER_CLIP * batch, scheduler, offset)
    on_clips = full_noise_loss(denoiser, means, batch, scheduler, offset)

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        if step >= FIRST_FRAME_STEPS:
            return on_clips(step, generator)
        with temporal_layers_bypassed(denoiser.unet):
            return on_frames(step, generator)

    return loss_of


def full_noise_loss(
    denoiser: Denoiser, means: CaptionMeans, batch: int, scheduler: DDIMScheduler, offset: float
) -> Loss:
    """Eq. 1 at the last timestep; later frames count less."""
    last, frames = scheduler.config.num_train_timesteps - 1, means.latents.shape[2]
    fading = torch.linspace(1, LAST_FRAME_WEIGHT, frames)[:, None, None].to(means.weight)

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randperm(len(means.latents), generator=generator)[:batch].to(means.latents.device)
        latents, weight = means.latents[chosen], means.weight[chosen] * fading
        noise = make_noise(tuple(latents.shape), generator, offset).to(latents.device)
        timesteps = torch.full((len(latents),), last, device=latents.device)
        return weighted_loss(denoiser, latents, noise, timesteps, means.tokens[chosen], weight, scheduler)

    return loss_of
