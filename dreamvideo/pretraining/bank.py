"""A bank of drawn clips for every stage of pretraining, so that each frame is drawn once.

Shapes: N clips, F frames, S pixels a side, V caption variants, T tokens. Clips 2i and 2i + 1 show the same identity.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamvideo.base_models.pocket_networks import FRAME_SIZE, NUM_FRAMES
from dreamvideo.pocket_world.cast import RESERVED
from dreamvideo.pocket_world.render import render
from dreamvideo.pocket_world.sampling import (
    COLOUR_NAMES,
    MOTION_NAMES,
    SCENE_NAMES,
    Shot,
    caption,
    draw_identity,
    draw_shot,
    shot_frames,
)
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.pocket_world.vocabulary import CLASSES, MARKINGS

VARIANTS = 4
UNNAMED = -100  # the label of a motion without a name; cross entropy ignores it
LABELS = ("subject_class", "colour", "marking", "marking_colour", "scene", "motion")


@dataclass
class Bank:
    """Drawn clips with their captions and their truth, on one device."""

    pixels: Tensor  # (N, F, 3, S, S) uint8
    masks: Tensor  # (N, F, 1, S, S) uint8, 255 in the foreground
    image_tokens: Tensor  # (N, V, T): captions without the motion
    clip_tokens: Tensor  # (N, V, T)
    labels: Tensor  # (N, len(LABELS))

    def __len__(self) -> int:
        return len(self.pixels)


def draw_shots(count: int, seed: int) -> list[Shot]:
    """``count`` random shots, two of each identity; ``count`` is even."""
    rng = random.Random(seed)
    identities = [draw_identity(rng, RESERVED) for _ in range(count // 2)]
    return [draw_shot(rng, identity) for identity in identities for _ in range(2)]


def build_bank(count: int, seed: int, device: str, on_progress: Callable[[int], None] | None = None) -> Bank:
    """Draw ``count`` random clips."""
    shots, rng = draw_shots(count, seed), random.Random(seed + 1)
    pixels = torch.empty(count, NUM_FRAMES, 3, FRAME_SIZE, FRAME_SIZE, dtype=torch.uint8, device=device)
    masks = torch.empty(count, NUM_FRAMES, 1, FRAME_SIZE, FRAME_SIZE, dtype=torch.uint8, device=device)
    chunk = 32 if device == "cpu" else 512
    for start in range(0, count, chunk):
        drawn, mask = render(shot_frames(shots[start : start + chunk], NUM_FRAMES, device), FRAME_SIZE)
        pixels[start : start + chunk] = (drawn * 255).round().byte().unflatten(0, (-1, NUM_FRAMES))
        masks[start : start + chunk] = (mask * 255).round().byte().unflatten(0, (-1, NUM_FRAMES))
        if on_progress:
            on_progress(min(start + chunk, count))

    def tokens(moving: bool) -> Tensor:
        captions = [caption(shot, rng, moving) for shot in shots for _ in range(VARIANTS)]
        return tokenize(captions).unflatten(0, (count, VARIANTS)).to(device)

    return Bank(pixels, masks, tokens(moving=False), tokens(moving=True), _labels(shots).to(device))


def _labels(shots: list[Shot]) -> Tensor:
    """The truth about shots as indices, in the order of LABELS."""
    return torch.tensor(
        [
            (
                CLASSES.index(shot.identity.subject_class),
                COLOUR_NAMES.index(shot.identity.colour),
                MARKINGS.index(shot.identity.marking),
                COLOUR_NAMES.index(shot.identity.marking_colour),
                SCENE_NAMES.index(shot.scene),
                MOTION_NAMES.index(shot.motion.name) if shot.motion.name in MOTION_NAMES else UNNAMED,
            )
            for shot in shots
        ]
    )


def to_signal(pixels: Tensor) -> Tensor:
    """Bytes in [0, 255] to floats in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def centroids(masks: Tensor) -> Tensor:
    """Centroids (..., 2) as (x, y) of masks (..., S, S). The edges are -1 and 1; an empty mask gives the middle."""
    masks = masks.float()
    axis = (torch.arange(masks.shape[-1], device=masks.device) + 0.5) * (2 / masks.shape[-1]) - 1
    total = masks.sum((-2, -1)).clamp_min(1e-6)
    return torch.stack(((masks.sum(-2) * axis).sum(-1) / total, (masks.sum(-1) * axis).sum(-1) / total), dim=-1)
