"""Losses that train the encoders: the VAE, the CLIPs, the DINO and the oracle."""

import torch
from diffusers import AutoencoderKL
from open_clip import CLIP
from torch import Tensor, nn
from torch.nn import functional

from dreamvideo.pocket_world.oracle import READ_OUTS, Oracle
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.pocket_world.vocabulary import COLOURS
from dreamvideo.pretraining.bank import LABELS, UNNAMED, Bank, centroids, to_signal
from dreamvideo.pretraining.loop import Loss

PIXEL_FOREGROUND_WEIGHT = 3.0  # added to 1, for a pixel
LATENT_NOISE = 0.3  # the largest noise, as a share of a channel's deviation
IMPOSSIBLE = -1e4  # a logit; it is finite, because zero times infinity is not a number


def random_clips(bank: Bank, count: int, generator: torch.Generator) -> Tensor:
    """Indices (count,) of random clips, on the bank's device."""
    return torch.randint(len(bank), (count,), generator=generator).to(bank.pixels.device)


def random_frames(bank: Bank, clips: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One random frame of each clip: images (B, 3, S, S) in [-1, 1] and its index (B,)."""
    frames = torch.randint(bank.pixels.shape[1], (len(clips),), generator=generator).to(clips.device)
    return to_signal(bank.pixels[clips, frames]), frames


def vae_loss(vae: AutoencoderKL, bank: Bank, batch: int) -> Loss:
    """The loss of reconstruction: the foreground counts more, and a weak term pulls to the normal distribution.

    Latents are given some noise before they are decoded: those that a UNet samples are never exact either, and the
    decoder learns to draw what they must mean. A crop of a quarter frame costs a quarter, so most steps see crops; every
    fourth sees as many pixels in whole frames.
    """

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        whole = step % 4 == 3
        clips = random_clips(bank, batch // 4 if whole else batch, generator)
        images, frames = random_frames(bank, clips, generator)
        weight = 1 + PIXEL_FOREGROUND_WEIGHT * bank.masks[clips, frames].float() / 255
        if not whole:
            images, weight = _crop(torch.cat((images, weight), 1), generator).split((3, 1), 1)
        images = images.contiguous(memory_format=torch.channels_last)
        posterior = vae.encode(images).latent_dist
        mean, noise = posterior.mean, torch.randn(posterior.mean.shape, generator=generator).to(images.device)
        strength = LATENT_NOISE * torch.rand(len(images), 1, 1, 1, generator=generator).to(images.device)
        spread = strength * mean.detach().std((0, 2, 3), keepdim=True)
        error = vae.decode(mean + (posterior.var + spread.square()).sqrt() * noise).sample - images
        return (weight * (error.abs() + 2 * error.square())).mean() + 1e-6 * posterior.kl().mean()

    return loss_of


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """One window of half the side for the whole batch, on the grid of the latents: (B, C, S, S) -> (B, C, S/2, S/2)."""
    side = images.shape[-1] // 2
    top, left = (4 * torch.randint(side // 4 + 1, (2,), generator=generator)).tolist()
    return images[..., top : top + side, left : left + side]


def clip_loss(clip: CLIP, bank: Bank, batch: int) -> Loss:
    """The symmetric contrastive loss over random frames and their captions. Equal captions all count as right.

    Images are also told from the batch's captions with the two colours exchanged (Yuksekgonul et al. 2023): few random
    captions are wrong in that alone, and a subject of two colours was taken for one that begins with the second.
    """

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        clips = random_clips(bank, batch, generator)
        images = random_frames(bank, clips, generator)[0].contiguous(memory_format=torch.channels_last)
        variants = torch.randint(bank.image_tokens.shape[1], (batch,), generator=generator).to(clips.device)
        moving = (torch.rand(batch, generator=generator) < 0.3).to(clips.device)
        tokens = torch.where(moving[:, None], bank.clip_tokens[clips, variants], bank.image_tokens[clips, variants])
        image = clip.encode_image(images, normalize=True)
        text = clip.encode_text(tokens, normalize=True)
        scale = clip.logit_scale.exp().clamp_max(100)
        logits = scale * image @ text.T
        same = (tokens[:, None] == tokens[None]).all(-1).float()
        target = same / same.sum(1, keepdim=True)
        exchanged = _colours_exchanged(tokens, bank.labels[clips])
        wrong = scale * image @ clip.encode_text(exchanged, normalize=True).T
        # An exchanged caption may be right for an image: without colour words, or with the colours of another image.
        right = (exchanged[None] == tokens[:, None]).all(-1)
        all_logits = torch.cat((logits, wrong.masked_fill(right, IMPOSSIBLE)), 1)
        all_targets = torch.cat((target, torch.zeros_like(target)), 1)
        return (functional.cross_entropy(all_logits, all_targets) + functional.cross_entropy(logits.T, target)) / 2

    return loss_of


def _colours_exchanged(tokens: Tensor, labels: Tensor) -> Tensor:
    """Captions (B, T) with the first colour and the marking's colour exchanged; labels (B, len(LABELS))."""
    ids = tokenize(COLOURS)[:, 1].to(tokens.device)
    first, second = (ids[labels[:, LABELS.index(name)]][:, None] for name in ("colour", "marking_colour"))
    return torch.where(tokens == first, second, torch.where(tokens == second, first, tokens))


class DinoTraining(nn.Module):
    """A student and its teacher, each a backbone with a projection head. The teacher is a moving average of the student."""

    def __init__(self, backbone: nn.Module, teacher: nn.Module, prototypes: int = 256) -> None:
        super().__init__()
        self.student = nn.Sequential(backbone, _projection(prototypes))
        self.teacher = nn.Sequential(teacher, _projection(prototypes)).requires_grad_(False)
        self.teacher.load_state_dict(self.student.state_dict())

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the teacher towards the student."""
        teacher: list[Tensor] = list(self.teacher.parameters())
        student: list[Tensor] = list(self.student.parameters())
        torch._foreach_lerp_(teacher, student, 1 - momentum)


def _projection(prototypes: int) -> nn.Sequential:
    """The projection head. Its batch normalisation keeps views apart: at first the backbone treats all images alike."""
    return nn.Sequential(
        nn.Linear(96, 256), nn.BatchNorm1d(256), nn.GELU(),
        nn.Linear(256, 64), nn.BatchNorm1d(64), _Normalise(), _Prototypes(prototypes, 64),
    )  # fmt: skip


class _Prototypes(nn.Module):
    """Cosines to prototypes. They have unit length: otherwise weight decay flattens every distribution."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, width))

    def forward(self, x: Tensor) -> Tensor:
        return x @ functional.normalize(self.weight, dim=-1).T


class _Normalise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-1)


def dino_loss(dino: DinoTraining, bank: Bank, batch: int) -> Loss:
    """Self-distillation (Caron et al. 2021) between two views of one identity in different scenes and motions, without labels.

    The teacher's targets are balanced over the prototypes by Sinkhorn-Knopp (Caron et al. 2020). With such
    small batches, a running centre made everything collapse onto one prototype.
    """

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        dino.follow(min(0.99, (step + 1) / (step + 10)))
        pairs = torch.randint(len(bank) // 2, (batch,), generator=generator).to(bank.pixels.device) * 2
        views = torch.cat([_cropped_frames(bank, pairs + second, generator) for second in (0, 1)])
        with torch.no_grad():
            targets = _balanced(dino.teacher(views) / 0.05).chunk(2)
        learnt = (dino.student(views) / 0.1).log_softmax(-1).chunk(2)
        return -((targets[0] * learnt[1]).sum(-1).mean() + (targets[1] * learnt[0]).sum(-1).mean()) / 2

    return loss_of


def _cropped_frames(bank: Bank, clips: Tensor, generator: torch.Generator) -> Tensor:
    """A random window, a third of the side or more, around the subject of a random frame of each clip: (B, 3, S, S)."""
    images, frames = random_frames(bank, clips, generator)
    scale = (1 / 3 + 2 / 3 * torch.rand(len(clips), generator=generator)).to(images.device)
    room = (1 - scale)[:, None]
    centre = centroids(bank.masks[clips, frames, 0]).clamp(-room, room)
    window = torch.diag_embed(scale[:, None].expand(-1, 2))
    grid = functional.affine_grid(torch.cat((window, centre[..., None]), -1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _balanced(scores: Tensor, rounds: int = 3) -> Tensor:
    """Distributions (B, K) near softmax(scores) that use every prototype equally often over the batch."""
    shares = scores.softmax(-1)
    for _ in range(rounds):
        shares = functional.normalize(shares, p=1, dim=0)
        shares = functional.normalize(shares, p=1, dim=1)
    return shares


def oracle_loss(oracle: Oracle, bank: Bank, batch: int) -> Loss:
    """The loss of the oracle on single frames and on an eighth as many clips, with the blur and the noise of a decoder."""

    def loss_of(step: int, generator: torch.Generator) -> Tensor:
        clips = random_clips(bank, batch // 8, generator)
        motion = oracle(_worsened(to_signal(bank.pixels[clips]), generator))["motion"]
        label = bank.labels[clips, LABELS.index("motion")]
        # Not the mean: it is NaN if none of the few clips has a named motion.
        loss = functional.cross_entropy(motion, label, reduction="sum") / (label != UNNAMED).sum().clamp_min(1)
        clips = random_clips(bank, batch, generator)
        images, frames = random_frames(bank, clips, generator)
        read = oracle(_worsened(images[:, None], generator))
        for name in READ_OUTS:
            loss = loss + functional.cross_entropy(read[name][:, 0], bank.labels[clips, LABELS.index(name)])
        masks = functional.avg_pool2d(bank.masks[clips, frames].float() / 255, 4)
        return loss + 5 * functional.binary_cross_entropy_with_logits(read["foreground"], masks)

    return loss_of


def _worsened(signal: Tensor, generator: torch.Generator) -> Tensor:
    """Clips (B, F, 3, S, S). Each has its own amount of blur and noise."""
    flat = signal.flatten(0, 1)
    blurred = functional.interpolate(functional.avg_pool2d(flat, 2), scale_factor=2, mode="bilinear")
    strength = (torch.rand(len(signal), generator=generator) * 0.8).to(signal.device)[:, None, None, None, None]
    noise = torch.randn(signal.shape, generator=generator).to(signal.device)
    return signal.lerp(blurred.view_as(signal), strength) + 0.15 * strength * noise
