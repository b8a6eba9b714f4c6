"""The quality of the pocket base: it generates videos of new captions, and the oracle reads them."""

import random

import torch

from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.params import SamplingParams
from dreamvideo.pocket_world.cast import RESERVED
from dreamvideo.pocket_world.oracle import Oracle
from dreamvideo.pocket_world.sampling import MOTION_NAMES, Shot, draw_identity, draw_shot
from dreamvideo.pocket_world.vocabulary import CLASSES, COLOURS, SCENES
from dreamvideo.sample import sample_latents

NAMED = {"subject_class": CLASSES, "colour": tuple(COLOURS), "scene": tuple(SCENES)}
SAMPLING = SamplingParams(steps=20, guidance_scale=4.0, negative_prompt="")


@torch.no_grad()
def video_quality(base: VideoDiffusionModel, oracle: Oracle, count: int, seed: int) -> dict[str, float]:
    """Share of generated videos that show what their caption names.

    Args:
        base: the trained model.
        oracle: the trained oracle.
        count: the number of captions. Each names colour, class, motion and scene.
        seed: of the captions and the noise.

    Returns:
        Shares in [0, 1]; a video counts for a class, colour or scene if the mean over its frames does.
    """
    rng = random.Random(seed)
    right = dict.fromkeys((*NAMED, "motion"), 0)
    for index in range(count):
        shot = draw_shot(rng, draw_identity(rng, RESERVED), motion=rng.choice(MOTION_NAMES))
        generator = torch.Generator().manual_seed(seed + index)
        latents = sample_latents(base, base.encode_text(["", full_caption(shot)]), SAMPLING, generator)
        read = oracle(base.decode_latents(latents))
        truth = {"subject_class": shot.identity.subject_class, "colour": shot.identity.colour, "scene": shot.scene}
        for name, names in NAMED.items():
            right[name] += names[read[name][0].log_softmax(-1).mean(0).argmax()] == truth[name]
        right["motion"] += MOTION_NAMES[read["motion"][0].argmax()] == shot.motion.name
    return {f"video_{name}": round(number / count, 4) for name, number in right.items()}


def full_caption(shot: Shot) -> str:
    """A caption that names colour, class, motion and scene."""
    identity = shot.identity
    return f"a {identity.colour} {identity.subject_class} is {shot.motion.words} {SCENES[shot.scene]}"
