"""Do the frames of one video agree with each other? Measured on real clips under noise, and on generated videos.

Eight frames show one subject. A model that pools all of them predicts frames that agree, however much noise there is.
A model that guesses each frame by itself does not. It is worst where the noise hides what tells subjects apart.

Shapes: N clips, F frames, S pixels a side, B batch, C latent channels, h latent size, T tokens.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from dreamvideo.base_models.pocket import PocketModel, load_component
from dreamvideo.base_models.pocket_networks import build_clip, build_dino
from dreamvideo.diffusion import make_noise
from dreamvideo.pretraining.bank import Bank, to_signal

TIMESTEPS = (300, 500, 700, 850)
CONSISTENT_FRAMES = 7  # of eight that must show the same
LASTING = ("subject_class", "colour", "marking")  # what a subject keeps from frame to frame

# Embeddings (F, D) of length 1 of frames (F, 3, S, S) in [-1, 1].
Encoder = Callable[[Tensor], Tensor]


def agreement_encoders(metrics: Path, device: torch.device) -> dict[str, Encoder]:
    """The metrics' CLIP and DINO, as functions."""
    clip = load_component(metrics, "clip_metric", build_clip()).to(device)
    dino = load_component(metrics, "dino", build_dino()).to(device)
    return {
        "clip": lambda frames: clip.encode_image(frames, normalize=True),
        "dino": lambda frames: functional.normalize(dino(frames), dim=-1),
    }


def agreement(clips: Tensor, encode: Encoder) -> Tensor:
    """Mean cosine (N,) of consecutive frames of clips (N, F, 3, S, S)."""
    embedded = encode(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    return (embedded[:, 1:] * embedded[:, :-1]).sum(-1).mean(1)


def steadiness(read: dict[str, Tensor]) -> Tensor:
    """Whether each of N clips shows one class, colour and marking in seven of eight frames.

    Args:
        read: what the oracle reads: logits (N, F, classes) by name.

    Returns:
        Booleans (N,).
    """
    guesses = torch.stack([read[name].argmax(-1) for name in LASTING], dim=-1)  # (N, F, 3)
    same = (guesses[:, :, None] == guesses[:, None]).all(-1).sum(-1)  # (N, F): frames that read as this one does
    return same.amax(1) * 8 >= CONSISTENT_FRAMES * guesses.shape[1]


@torch.no_grad()
def one_pass_agreement(
    base: PocketModel, bank: Bank, encoders: dict[str, Encoder], seed: int, count: int
) -> dict[str, float]:
    """How well frames agree that are predicted in one pass from real clips under noise, by timestep.

    Args:
        base: the model.
        bank: clips that it has not seen, with captions.
        encoders: of frames, by name.
        seed: of the noise, which is the same at all timesteps.
        count: clips to measure on.

    Returns:
        Means over clips of :func:`agreement` by encoder and timestep, and the squared error of the latents.
    """
    base.denoiser.eval()
    sums: dict[str, float] = {}
    for start in range(0, count, 8):
        chosen = slice(start, min(start + 8, count))
        latents = base.encode_frames(to_signal(bank.pixels[chosen]))
        text = base.text(bank.clip_tokens[chosen, 0].to(base.device))
        generator = torch.Generator().manual_seed(seed + start)
        noise = make_noise(tuple(latents.shape), generator, base.offset_noise).to(base.device)
        for timestep in TIMESTEPS:
            clean = predict_clean(base, latents, noise, timestep, text)
            decoded = base.decode_latents(clean)
            error = (clean - latents).square().mean((1, 2, 3, 4))
            sums[f"error_{timestep}"] = sums.get(f"error_{timestep}", 0.0) + error.sum().item()
            for name, encode in encoders.items():
                key = f"agreement_{name}_{timestep}"
                sums[key] = sums.get(key, 0.0) + agreement(decoded, encode).sum().item()
    return {name: round(value / count, 4) for name, value in sums.items()}


def predict_clean(base: PocketModel, latents: Tensor, noise: Tensor, timestep: int, text: Tensor) -> Tensor:
    """The clean latents (B, C, F, h, h) that a velocity prediction stands for, from latents noised to a timestep."""
    timesteps = torch.full((len(latents),), timestep, device=latents.device)
    noisy = base.schedule.noised(latents, noise, timesteps)
    share = base.schedule.ddim.alphas_cumprod[timestep].to(latents)
    return share.sqrt() * noisy - (1 - share).sqrt() * base.predict(noisy, timesteps, text)
