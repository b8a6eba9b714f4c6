"""The quality of the trained pocket models, on clips that no training saw.

Every figure goes into the weight file of its model. A report can then print it beside the scores that depend on it.
"""

import random
from dataclasses import asdict

import torch
from diffusers import AutoencoderKL
from open_clip import CLIP
from torch import Tensor, nn
from torch.nn import functional

from dreamvideo.base_models.pocket_networks import FRAME_SIZE, NUM_FRAMES
from dreamvideo.pocket_world.cast import SUBJECTS
from dreamvideo.pocket_world.oracle import READ_OUTS, Oracle, subject_log_probabilities
from dreamvideo.pocket_world.render import render
from dreamvideo.pocket_world.sampling import draw_shot, shot_frames
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.pocket_world.vocabulary import CLASSES, COLOURS, SCENES
from dreamvideo.pretraining.bank import LABELS, UNNAMED, Bank, centroids, to_signal

RETRIEVAL = 256  # captions
QUERIES = 16  # images of each subject


@torch.no_grad()
def vae_quality(vae: AutoencoderKL, bank: Bank) -> dict[str, float]:
    """Peak signal-to-noise ratio in dB of held-out frames, over all and over the foreground."""
    frames, masks = to_signal(bank.pixels[:, 0]), bank.masks[:, 0].float() / 255
    decoded = torch.cat([vae.decode(vae.encode(chunk).latent_dist.mean).sample for chunk in frames.split(16)])
    error = (decoded.clamp(-1, 1) - frames).square() / 4  # of signals in [0, 1]
    foreground = (error * masks).sum() / (masks.sum() * 3)
    return {"psnr": _decibel(error.mean()), "psnr_foreground": _decibel(foreground)}


def _decibel(error: Tensor) -> float:
    return round(-10 * error.log10().item(), 2)


@torch.no_grad()
def clip_quality(clip: CLIP, bank: Bank) -> dict[str, float]:
    """Share of 256 held-out frames whose own caption is the nearest among 256 different captions."""
    captions: dict[tuple, int] = {}
    for clip_index, label in enumerate(bank.labels.tolist()):
        named = dict(zip(LABELS, label, strict=True))
        captions.setdefault((named["colour"], named["subject_class"], named["scene"]), clip_index)
    chosen = list(captions.items())[:RETRIEVAL]
    texts = [
        f"a {list(COLOURS)[colour]} {CLASSES[kind]} {list(SCENES.values())[scene]}"
        for (colour, kind, scene), _ in chosen
    ]
    images = to_signal(bank.pixels[[index for _, index in chosen], 0])
    similarity = clip.encode_image(images, normalize=True) @ clip.encode_text(tokenize(texts), normalize=True).T
    right = similarity.argmax(1) == torch.arange(len(chosen))
    return {"retrieval": round(right.float().mean().item(), 4), "captions": len(chosen)}


@torch.no_grad()
def dino_quality(dino: nn.Module, seed: int) -> dict[str, float]:
    """Share of new images of the twenty subjects whose nearest neighbour, among four others of each, is the same subject."""
    rng = random.Random(seed)
    shots = [draw_shot(rng, identity, motion="still") for identity in SUBJECTS.values() for _ in range(4 + QUERIES)]
    images, _ = render(shot_frames(shots, 1), FRAME_SIZE)
    embeddings = torch.cat([functional.normalize(dino(chunk * 2 - 1), dim=-1) for chunk in images.split(64)])
    gallery, queries = embeddings.unflatten(0, (len(SUBJECTS), -1)).split((4, QUERIES), dim=1)
    nearest = (queries @ gallery.flatten(0, 1).T).argmax(-1) // 4
    right = nearest == torch.arange(len(SUBJECTS))[:, None]
    return {"nearest_neighbour": round(right.float().mean().item(), 4), "queries": right.numel()}


@torch.no_grad()
def oracle_quality(oracle: Oracle, bank: Bank) -> dict[str, float]:
    """Shares of held-out real frames that the oracle reads right, its centroid error in pixels, and its posterior.

    The share of motions counts only clips with a named motion.
    """
    signal = to_signal(bank.pixels)
    reads = [oracle(chunk) for chunk in signal.split(8)]
    right = {}
    for name, label in zip(LABELS, bank.labels.T, strict=True):
        guess = torch.cat([read[name] for read in reads]).argmax(-1)
        if name == "motion":
            right[name] = (guess == label)[label != UNNAMED].float().mean().item()
        else:
            right[name] = (guess == label[:, None]).float().mean().item()
    assert set(right) == {*READ_OUTS, "motion"}
    error = torch.cat([read["centroid"] for read in reads]) - centroids(bank.masks[:, :, 0])
    right["centroid_error_pixels"] = error.norm(dim=-1).mean().item() * FRAME_SIZE / 2
    right["subject_oracle"] = _subject_posterior(oracle)
    return {name: round(value, 4) for name, value in right.items()}


def _subject_posterior(oracle: Oracle) -> float:
    """The mean probability of the right one of the twenty subjects, by the oracle on real frames."""
    rng = random.Random(0)
    shots = [draw_shot(rng, identity) for identity in SUBJECTS.values()]
    clips = render(shot_frames(shots, NUM_FRAMES), FRAME_SIZE)[0].unflatten(0, (len(shots), NUM_FRAMES)) * 2 - 1
    truths = [asdict(identity) for identity in SUBJECTS.values()]
    posterior = subject_log_probabilities(oracle(clips), truths).softmax(-1)
    return posterior.diagonal(dim1=0, dim2=2).mean().item()
