"""The quality of the pocket base: it generates videos of new captions, and the oracle reads them."""

import random

import torch

from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.params import SamplingParams
from dreamvideo.pocket_world.cast import RESERVED
from dreamvideo.pocket_world.oracle import Oracle
from dreamvideo.pocket_world.sampling import MOTION_NAMES, Shot, draw_identity, draw_shot
from dreamvideo.pocket_world.vocabulary import CLASSES, COLOURS, SCENES
from dreamvideo.pretraining.coherence import Encoder, agreement, steadiness
from dreamvideo.sample import sample_latents

NAMED = {"subject_class": CLASSES, "colour": tuple(COLOURS), "scene": tuple(SCENES)}
SAMPLING = SamplingParams(steps=20, guidance_scale=4.0, negative_prompt="")


@torch.no_grad()
def video_quality(
    base: VideoDiffusionModel, oracle: Oracle, encoders: dict[str, Encoder], count: int, seed: int
) -> dict[str, float]:
    """Share of generated videos that show what their caption names, and how well their frames agree.

    Args:
        base: the trained model.
        oracle: the trained oracle.
        encoders: of frames, by name.
        count: the number of captions. Each names colour, class, motion and scene.
        seed: of the captions and the noise.

    Returns:
        Shares in [0, 1], and mean agreement by encoder; a video counts for a class, colour or scene if the mean over its
        frames does, and as steady if it shows one class, colour and marking in seven of eight frames.
    """
    rng = random.Random(seed)
    right = dict.fromkeys((*NAMED, "motion", "steady"), 0.0)
    agreed = dict.fromkeys(encoders, 0.0)
    for index in range(count):
        shot = draw_shot(rng, draw_identity(rng, RESERVED), motion=rng.choice(MOTION_NAMES))
        generator = torch.Generator().manual_seed(seed + index)
        latents = sample_latents(base, base.encode_text(["", full_caption(shot)]), SAMPLING, generator)
        frames = base.decode_latents(latents)
        read = oracle(frames)
        truth = {"subject_class": shot.identity.subject_class, "colour": shot.identity.colour, "scene": shot.scene}
        for name, names in NAMED.items():
            right[name] += names[read[name][0].log_softmax(-1).mean(0).argmax()] == truth[name]
        right["motion"] += MOTION_NAMES[read["motion"][0].argmax()] == shot.motion.name
        right["steady"] += steadiness(read).item()
        for name, encode in encoders.items():
            agreed[name] += agreement(frames, encode).item()
    measured = right | {f"agreement_{name}": total for name, total in agreed.items()}
    return {f"video_{name}": round(total / count, 4) for name, total in measured.items()}


def full_caption(shot: Shot) -> str:
    """A caption that names colour, class, motion and scene."""
    identity = shot.identity
    return f"a {identity.colour} {identity.subject_class} is {shot.motion.words} {SCENES[shot.scene]}"
